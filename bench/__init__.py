"""How fast the line is beside its peers, measured on real processes. Run with ``make bench``."""

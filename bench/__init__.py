"""How fast the line is, measured on the real processes. Run with ``make bench``."""

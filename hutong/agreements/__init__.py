"""What a recipient may get: agreements, and how they are compiled to row filters and transforms. Pure: no I/O, no clock."""

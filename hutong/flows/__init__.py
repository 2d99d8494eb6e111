"""Flows: declared procedures over several agencies, and their cases. Pure: no I/O, no clock, no environment."""

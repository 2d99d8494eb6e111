"""Bytes and plans in, deliveries out: the pure heart of the router. No I/O, no clock, no environment."""

"""Flows tried without a bus: cases on the in-memory bus under a simulated clock, scenarios and what they expect."""

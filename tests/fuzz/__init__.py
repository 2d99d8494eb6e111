"""Mutated values against the transcoders, and the random agreements that they and the property tests run under."""

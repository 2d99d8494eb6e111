"""The torture run: known events, faults at random moments, and a judge who reads everything that recipients can read."""

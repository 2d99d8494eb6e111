"""True lag: what is not delivered yet, what is not taken yet, and for how long, counted in events and not in offsets."""

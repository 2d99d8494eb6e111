"""Putting it right: what lies in quarantine, why, and what a second attempt would do; deliveries made again; one event traced."""

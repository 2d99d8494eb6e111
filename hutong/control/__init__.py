"""From declarations to a running bus: what should be there, what is there, the difference, and making it so."""

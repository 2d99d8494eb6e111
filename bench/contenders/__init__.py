"""Who is compared: Hutong's router, and what others would use in its place. One file each, all of the shape in ``contender``."""

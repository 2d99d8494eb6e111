"""Looks at the bus from outside and tells what only an onlooker can know: what waits, for whom, and for how long."""

"""The demonstration: a small world of departments that lives, publishes and is read, to show the bus on real input.

Nothing under ``hutong`` imports this package; it uses the bus as any department and any ministry would. It names departments
and contracts freely: it is their software, not the bus.
"""

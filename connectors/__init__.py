"""Connectors between departments' systems and the bus: sources bring changes in, sinks take deliveries out. One per file."""

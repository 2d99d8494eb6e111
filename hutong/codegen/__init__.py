"""Contracts and deliveries as typed Python: readable pydantic models, the same text for the same declarations.

``names`` and ``literals`` are how things are called and written, ``types`` turns Avro types into annotations and defaults,
``module`` puts a file together. The command is ``hutong codegen``.
"""

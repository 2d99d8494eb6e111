"""Agreements written down for the Rust transcoder: what each file lowers, the extension runs without Python objects."""

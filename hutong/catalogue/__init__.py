"""The declarations under ``schemas/`` as values: read from files with every error collected, each with file, line and field."""

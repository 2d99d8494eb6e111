"""The operator's processes, each thin: settings, a handler, and the wiring by hand."""

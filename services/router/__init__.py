"""Routes every published event to the recipients whose agreements grant it, exactly once, in one transaction per batch."""

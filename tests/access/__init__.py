"""Who may do what: the declarations read by themselves, and a running broker asked about every cell."""

"""Sources: what turns a department's data into published change events."""

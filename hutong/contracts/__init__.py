"""What a department publishes: contracts, their Avro schemas and the rules that a value must keep. Pure: no I/O, no clock."""

"""Kafka and the schema registry: the only place that imports ``confluent_kafka`` or talks to the registry."""

"""Kafka and the schema registry: the only place that imports ``confluent_kafka`` or talks to the registry."""

import logging

from hutong.kafka.noise import Once

logging.getLogger("hutong").addFilter(Once())  # the clients log there

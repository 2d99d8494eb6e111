"""A real bus on this machine, with no Docker and no JDK: Apache Kafka, Apicurio Registry, PostgreSQL, all on loopback.

``up``, ``down``, ``status`` and ``reset`` are what the commands of these names, the tests and the demo call.
"""

from hutong.embedded.bus import Part, Status, down, reset, status, up
from hutong.embedded.progress import Progress
from hutong.embedded.state import Wish

__all__ = ["Part", "Progress", "Status", "Wish", "down", "reset", "status", "up"]

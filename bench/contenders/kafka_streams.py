"""Kafka Streams, exactly once (v2), tuned as its documentation advises for throughput; or as it comes, for latency.

The program is ``streams/Router.java``. It is compiled once into the cache, against jars that jgo fetches from Maven's repository.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.contender import CACHE, Running, Task, write_plan
from hutong.embedded.java import environment, java
from hutong.kafka.settings import Settings

__all__ = ["VERSION", "KafkaStreams"]

VERSION = "4.3.1"

_SOURCE = Path(__file__).with_name("streams") / "Router.java"
_ROOTS = (f"org.apache.kafka:kafka-streams:{VERSION}", "org.apache.avro:avro:1.12.1", "org.slf4j:slf4j-simple:1.7.36")
_RELEASE = "17"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"

_JAVA = (
    "-Xms2g",
    "-Xmx2g",
    "-XX:+UseG1GC",
    "--enable-native-access=ALL-UNNAMED",  # the codecs' native libraries, about which Java 25 would print warnings
    "--sun-misc-unsafe-memory-access=allow",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

# What the Streams developer guide and the tuning guides name for throughput: longer transactions, larger and compressed batches,
# larger fetches, a thread per core. Tried on this workload: commit intervals of 100, 500 and 1,000 ms, one thread and two.
_LARGEST_BATCH, _SMALLEST_BATCH = 262_144, 16_384
_TUNED = {
    "num.stream.threads": "2",
    "commit.interval.ms": "1000",
    "buffered.records.per.partition": "20000",
    "consumer.max.poll.records": "10000",
    "consumer.max.partition.fetch.bytes": "4194304",
    "consumer.fetch.max.bytes": "16777216",
    "producer.linger.ms": "20",
    "producer.buffer.memory": str(256 * 1024 * 1024),
    "producer.compression.type": "lz4",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaStreams:
    """One Streams process.

    Attributes:
        name: as results name it.
        tuned: whether it is tuned for throughput; else only exactly-once is set, and all else is the default.
    """

    name: str = "kafka_streams"
    tuned: bool = True

    @property
    def exactly_once(self) -> bool:
        """Version 2."""
        return True

    @property
    def copies(self) -> bool:
        """It transforms."""
        return False

    def problem(self) -> str | None:
        """Compile it; None when that is done."""
        if shutil.which("javac") is None:
            return "there is no javac to compile it with (on Debian: apt-get install default-jdk-headless)"
        try:
            _classes()
        except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
            return f"it cannot be compiled: {str(error).splitlines()[0]}"
        return None

    def start(self, task: Task) -> Running:
        """Start the process."""
        config = _config(task.settings, task.group) | {"state.dir": str(task.folder / "state")}
        tuned = _tuned(len(task.declared.destinations), writes=task.declared.workload.case.fan_out > 0) if self.tuned else {}
        plan = write_plan(task, streams=config | tuned)
        running = Running(log=task.folder / f"{task.group}.log", commits_apart=True)
        running.add([java(), *_JAVA, "-cp", f"{_classes()}:{_class_path()}", "Router", str(plan)], environment())
        return running


def _tuned(topics: int, *, writes: bool) -> dict[str, str]:
    """The settings for so many destinations: each has a batch under way, and all must fit the producer's buffer.

    Where nothing is written a commit costs it next to nothing, and one in a second is too few to be timed: so its default there.
    """
    batch = int(_TUNED["producer.buffer.memory"]) // (2 * topics)
    sizes = {"producer.batch.size": str(min(_LARGEST_BATCH, max(_SMALLEST_BATCH, batch)))}
    return _TUNED | sizes | ({} if writes else {"commit.interval.ms": "100"})


def _config(settings: Settings, group: str) -> dict[str, str]:
    password = settings.password.get_secret_value() if settings.password else ""
    return {
        "application.id": group,
        "bootstrap.servers": settings.bootstrap_servers,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.jaas.config": f'{_SCRAM} required username="{settings.username}" password="{password}";',
        "processing.guarantee": "exactly_once_v2",
        "auto.offset.reset": "earliest",
    }


def _class_path() -> str:
    import jgo

    found: dict[str, str] = {}
    for root in _ROOTS:  # each by itself: together, jgo takes one root's managed versions for all; the first root wins
        for artifact in jgo.resolve(root):
            found.setdefault(f"{artifact.groupId}:{artifact.artifactId}", str(artifact.resolve()))
    return ":".join(found.values())


def _classes() -> Path:
    """The folder of the compiled classes, named after their source."""
    folder = CACHE / f"streams-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]}"
    if not (folder / "Router.class").exists():
        command = ["javac", "--release", _RELEASE, "-cp", _class_path(), "-d", str(folder), str(_SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
    return folder

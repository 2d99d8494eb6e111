"""Why a part of the bus stopped: one line out of its log, and what to do about it.

Neighbour: ``bus`` asks when a process has ended or does not get ready.
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["FULL", "explain", "first_problem"]

_TAIL = 256 * 1024  # bytes of the log that are looked through; what ended a process is at its end
FULL = "the disk is full; make room, then `hutong up`"
_KNOWN = (
    (re.compile(r"No space left on device|Disk quota exceeded"), FULL),
    (
        re.compile(r"Address already in use|already bound|seems to be in use", re.IGNORECASE),
        "another program took its port; end that program, or take new ports with `hutong up --kafka-port 0 --registry-port 0`",
    ),
    (
        re.compile(r"Failed to acquire lock on file|Database may be already in use"),
        "another process still works on its data; end that process, then `hutong up`",
    ),
    (
        re.compile(r"OutOfMemoryError|insufficient memory"),
        "the machine has too little memory; end other programs, then `hutong up`",
    ),
    (
        re.compile(r"InconsistentClusterId|Invalid cluster.id|InconsistentNodeId"),
        "its data belong to another bus; point HUTONG_HOME elsewhere, or `hutong reset` to begin anew",
    ),
    (
        re.compile(r"SslAuthenticationException|InvalidConfigurationException.*(?:SSL|PEM)|Failed to load PEM|KeyStoreException"),
        "its certificate or key cannot be used; delete tls/server.*, then `hutong up` makes new ones",
    ),
    (
        re.compile(r"AuthenticationException|SaslAuthenticationException|authentication failed", re.IGNORECASE),
        "its password is not the one that the data were made with; put secrets/ back, or `hutong reset` to begin anew",
    ),
    (
        re.compile(r"File corrupted|CorruptRecordException|MVStoreException|is corrupt", re.IGNORECASE),
        "its data are damaged; `hutong reset` begins anew, without the data",
    ),
)
# What a client did wrong, a refused login say, is no problem of the server's, which logs it at a lower level.
_HARMLESS = re.compile(r"\b(?:TRACE|DEBUG|INFO|WARN|LOG|WARNING|DETAIL)\b")
_PROBLEM = re.compile(r"\b(?:ERROR|FATAL|PANIC|error)\b:?\s*(.*)|^(Exception\b.*)|^(Error\b.*)")


def explain(*logs: Path) -> str:
    """The reason in one line, out of the logs of one run, with the place to read on."""
    known, problems = _findings("\n".join(_tail(file) for file in logs))
    place = " and ".join(str(file) for file in logs)
    if known:
        return known
    if problems:
        return f"{problems[-1]} (see {place})"
    return f"it gave no reason (killed from outside?); `hutong up` starts it again, {place} may tell more"


def first_problem(output: Path) -> str:
    """The reason in one line, out of the output of a program that ended at its first problem."""
    text = _tail(output)
    known, problems = _findings(text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return known or (problems or lines[-1:] or ["it gave no reason"])[0]


def _findings(text: str) -> tuple[str, list[str]]:
    lines = [line for line in text.splitlines() if not _HARMLESS.search(line)]
    known = next((meaning for pattern, meaning in _KNOWN if any(pattern.search(line) for line in lines)), "")
    matches = (_PROBLEM.search(line) for line in lines)
    return known, [(found.group(1) or found.group(0)).strip()[:300] for found in matches if found]


def _tail(file: Path) -> str:
    try:
        with file.open("rb") as content:
            content.seek(max(0, file.stat().st_size - _TAIL))
            return content.read().decode("utf-8", "replace")
    except OSError:
        return ""

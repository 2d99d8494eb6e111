"""When a process of the embedded bus has ended: not before its last thread has, since its ports are taken for so long."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from hutong.embedded.process import Process

_FIRST_THREAD_ENDS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print("ready", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def state(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def test_a_process_whose_first_thread_has_ended_is_alive() -> None:
    """A Java that is killed is like this for a moment; only when it is a zombie with nothing left has it ended."""
    command = [sys.executable, "-c", _FIRST_THREAD_ENDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        started = int(state(child.pid)[19])
        process = Process(name="p", pid=child.pid, started=started, stop_signal=signal.SIGTERM, record=Path("p.json"))
        while state(child.pid)[0] != "Z":
            time.sleep(0.001)  # nothing tells when a thread has ended
        assert process.alive
        child.stdin.close()
        while int(state(child.pid)[17]) > 1:
            time.sleep(0.001)
        assert state(child.pid)[0] == "Z"
        assert not process.alive

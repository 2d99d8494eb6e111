"""One command at a time changes a bus: a lock that ends with the process that holds it, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hutong.embedded.progress import Progress
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home

__all__ = ["turn"]

_SECONDS = 120.0  # the longest that another command may take: a first start with its downloads on a slow line says so itself


@contextmanager
def turn(home: Home, progress: Progress, *, seconds: float = _SECONDS) -> Iterator[None]:
    """Hold the home's lock; wait while another command has it.

    Raises:
        HutongError: another command held it all the time.
    """
    try:
        home.run.mkdir(parents=True, exist_ok=True)
        handle = os.open(home.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except (PermissionError, NotADirectoryError, FileExistsError) as exc:
        raise ConfigurationError(f"cannot write in {home.root} ({exc.strerror}); point HUTONG_HOME elsewhere") from exc
    try:
        _acquire(handle, home, progress, seconds)
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, home: Home, progress: Progress, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 20, 0).decode() or "unknown"
            if time.monotonic() > deadline:
                raise HutongError(
                    f"another hutong command (process {holder}) still works on {home.root} after {seconds:g} s; end it, or wait"
                ) from None
            if not told:
                progress.say(f"waiting for another hutong command (process {holder}) to finish with {home.root}")
                told = True
            time.sleep(0.1)
        else:
            return

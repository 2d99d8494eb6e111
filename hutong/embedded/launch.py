"""Becomes the program that it is told to start, after it has written down who it is.

Run as a script, outside the package: ``python -I -S launch.py RECORD USER SIGNAL ATTACHED PROGRAM ARGUMENT...``. The record
exists before the program does, so whatever kills the command that started it, the next `hutong down` knows the process.
Neighbour: ``process`` starts this and reads the record.
"""

import json
import os
import sys
from pathlib import Path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


def main(record: str, user: str, stop_signal: str, attached: str, *command: str) -> None:
    parent = os.getppid()
    stat = Path("/proc/self/stat").read_text(encoding="ascii")
    # Field 22, counted after the parenthesised command name, which may itself hold blanks and parentheses.
    started = int(stat.rpartition(")")[2].split()[19])
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    facts = {"pid": os.getpid(), "started": started, "boot": boot, "stop_signal": int(stop_signal)}
    new = Path(record + ".new")
    new.write_text(json.dumps(facts), encoding="ascii")
    new.replace(record)
    if attached == "attached":
        import ctypes  # before setuid: the user that is become may not read the place where Python is
    if user:
        import pwd

        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)
    if attached == "attached":  # after setuid, which clears the wish
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, int(stop_signal))
        if os.getppid() != parent:
            sys.exit(1)
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the program, without a shell, is the whole point
    except OSError as exc:
        sys.exit(f"error: cannot run {command[0]}: {exc.strerror}")


if __name__ == "__main__":
    main(*sys.argv[1:])

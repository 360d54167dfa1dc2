"""Which file of a log a process writes. Each has one of its own, which it holds by a lock: workers, a process that is
still ending while its successor has begun, one started again after a kill. What nobody holds is closed by whoever
compacts, so that nothing is lost when fewer write than before.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from gateway.telemetry.naming import Journal, Names

MODE = 0o640
MOST = 1000  # processes that write one log


class Slot(NamedTuple):
    """A live file, open and nobody else's."""

    number: int
    path: Path
    fd: int


def claim(names: Names, own: int, others: int) -> Slot:
    """The live file with the number `own`; while somebody else has that, one that is none of the first `others`, which
    have owners of their own. Raises OSError."""
    for number in chain((own,), range(max(others, 1), MOST)):
        path = names.writer(number)
        fd = open_locked(path)
        if fd is not None:
            return Slot(number, path, fd)
    raise OSError(f"{names.live}: {MOST} processes write there; give each gateway a file of its own")


def open_locked(path: Path, create: bool = True) -> int | None:
    """The end of the file; None if another process writes there. Raises OSError."""
    while True:
        fd = open_end(path, create)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return fd  # a pipe is everybody's
        if not lock(fd):
            os.close(fd)
            return None
        if _is_at(path, fd):
            return fd
        os.close(fd)  # it was moved away between the two


def open_end(path: Path, create: bool = True) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (os.O_CREAT if create else 0), MODE)


def lock(fd: int) -> bool:
    """Whether it is ours. Where a disk knows no locks, whoever asks has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def free_name(names: Names, live: Path, now: float) -> Path:
    """Of the microsecond of the rotation: a name that was removed never comes again. Nor one that a compaction was
    killed over after it had removed the file: what has its name would not be read, and be removed."""
    second, number = int(now), int(now % 1 * 1e6)
    taken = Journal.read(names.journal).inputs
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
    while (path := names.closed(stamp, number, live)).name in taken or path.exists():
        number += 1
    return path


def orphans(names: Names) -> list[Path]:
    """Live files beside the first; most of them are somebody's."""
    found = ((names.number_of(name), name) for name in os.listdir(names.live.parent))
    return [names.live.with_name(name) for number, name in sorted(found, key=lambda each: each[1]) if number]


def close_orphans(names: Names, now: float) -> None:
    """Closes the live files that nobody holds, but for the first, which is always there."""
    for path in orphans(names):
        with suppress(FileNotFoundError):  # its owner was faster
            fd = open_locked(path, create=False)
            if fd is None:
                continue
            try:
                leave(names, path, fd, now)
            finally:
                os.close(fd)


def leave(names: Names, path: Path, fd: int, now: float) -> bool:
    """Closes a live file that is ours under another name; whether there was anything in it."""
    if os.fstat(fd).st_size == 0:
        path.unlink()
        return False
    path.rename(free_name(names, path, now))
    return True


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False

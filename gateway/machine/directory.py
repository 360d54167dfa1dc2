"""The directory of one machine of workers: in memory, for its user only. What they share lies there, and it ends with
them. Whoever makes one removes what is left of those who did not come to it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

BASE = Path("/dev/shm")
PREFIX = "longpoll-gateway-"
_LOCK = "lock"


class DirectoryError(OSError):
    """There is no place for what workers share; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Directory:
    """`lock` is a descriptor that its processes hold: while one of them lives, nobody else removes the directory."""

    path: Path
    lock: int

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def make_directory(base: Path = BASE) -> Directory:
    """Raises DirectoryError."""
    try:
        _sweep(base)
        while True:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))  # 0700
            lock = _locked(path / _LOCK, os.O_CREAT)
            if lock is not None:
                return Directory(path, lock)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        text = (
            f"workers share memory in {base}, and no directory can be made there: {reason}; mount it for this user, "
            "or write workers = 1"
        )
        raise DirectoryError(error.errno or 0, text) from None


def leave(path: Path, lock: int) -> None:
    """A process of a machine without a supervisor ends: with the last of them the directory does."""
    os.close(lock)
    try:
        last = _locked(path / _LOCK)
    except OSError:  # it is gone
        return
    if last is not None:
        Directory(path, last).remove()


def _sweep(base: Path) -> None:
    """Removes the directories of this user's machines that have no process any more."""
    for path in base.glob(f"{PREFIX}*"):
        try:
            found = path.lstat()
            lock = _locked(path / _LOCK) if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() else None
        except OSError:  # it is being made, or being removed
            continue
        if lock is not None:
            Directory(path, lock).remove()


def _locked(path: Path, flags: int = 0) -> int | None:
    """The descriptor of a lock that is now held; None when somebody else holds it, or removed it before it was."""
    lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_nlink:
            return lock
    except BlockingIOError:
        pass
    os.close(lock)
    return None

"""The files of one call log that may hold calls of a window: compacted hours by name, lines as open files, so that a
rename or a removal does not touch them. Which files together hold each call once is decided in `telemetry.naming`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.past.when import Window
from gateway.telemetry.naming import Readable, readable

_CLOSED = re.compile(r".*-([0-9]{8}T[0-9]{6}Z)-[0-9]+\.[^.]+")
_HOUR = re.compile(r".*-([0-9]{8}T[0-9]{2}Z)-[0-9]+\.parquet(\.tmp)?")
_TRIES = 20
_MAGIC = b"PAR1"
_PATTERN = frozenset("*?[")


class NoLogError(ValueError):
    """There is nothing to read."""


@dataclass(frozen=True, slots=True)
class Files:
    """What there is, newest first."""

    hours: tuple[Path, ...]  # Parquet
    lines: tuple[int, ...]  # descriptors of files of JSON lines
    live: int  # so many of the first of `lines` are still written
    broken: tuple[Path, ...] = ()  # Parquet by name only

    @property
    def size(self) -> int:
        return sum(os.fstat(each).st_size for each in self.lines) + sum(map(_size, self.hours))

    @property
    def count(self) -> int:
        return len(self.hours) + len(self.lines)

    def torn(self) -> int:
        """How many live files end inside a line, which is being written."""
        return sum(map(_torn, self.lines[: self.live]))


@contextmanager
def listed(path: Path, window: Window) -> Iterator[Files]:
    """The files of the log whose live file is `path`, or one Parquet file, until the end of the block. Raises
    ValueError with a sentence when there are none.

    Between looking at a directory and opening its files they may be renamed: then it is looked at again.
    """
    if not _PATTERN.isdisjoint(str(path)):
        raise ValueError(
            f"{path}: a path with *, ? or [ in it stands for many; ask by another, such as a symbolic link"
        )
    if path.exists() and not path.is_file():
        raise NoLogError(f"{path} is no file whose lines stay; let log.calls name one, or name the file by --log")
    for _ in range(_TRIES):
        there = _there(path)
        with ExitStack() as opened:
            lines = [_opened(opened, name) for name in there.lines]
            if None not in lines and there == _there(path) and _same(there, lines):
                yield _chosen(path, there, [each for each in lines if each is not None], window)
                return
    raise OSError(f"the files of {path} change faster than they can be listed; ask again")


def _there(path: Path) -> Readable:
    if path.suffix == ".parquet":
        return Readable((path,) if path.exists() else (), ())
    return readable(path)


def _missing(path: Path) -> NoLogError:
    return NoLogError(
        f"there is no call log at {path}, nor a closed or compacted part of one beside it; "
        'let the gateway write one with log.calls = "file:PATH", or name the file by --log'
    )


def _opened(opened: ExitStack, name: Path) -> int | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    opened.callback(os.close, descriptor)
    return descriptor


def _same(there: Readable, lines: list[int | None]) -> bool:
    """Whether every name still stands for the file that was opened: a name is used again for the next live file."""
    try:
        return all(
            each is not None and os.path.samestat(os.stat(name), os.fstat(each))
            for name, each in zip(there.lines, lines, strict=True)
        )
    except FileNotFoundError:
        return False


def _chosen(path: Path, there: Readable, lines: list[int], window: Window) -> Files:
    if not there.parquet and not there.lines:
        raise _missing(path)
    hours = [name for name in reversed(there.parquet) if _touches(name, window)]
    wanted = [each for name, each in zip(there.lines, lines, strict=True) if _ended_after(name, window)]
    return Files(
        tuple(name for name in hours if _whole(name)),
        tuple(reversed(wanted)),
        sum(_CLOSED.fullmatch(name.name) is None for name in there.lines),
        tuple(name for name in hours if not _whole(name)),
    )


def _torn(lines: int) -> bool:
    size = os.fstat(lines).st_size
    return size > 0 and os.pread(lines, 1, size - 1) != b"\n"


def _touches(name: Path, window: Window) -> bool:
    """Whether an hour meets the window; a file that was named by hand may hold anything."""
    hour = _stamp(_HOUR, name, "%Y%m%dT%HZ")
    return hour is None or (hour < window.until and hour + timedelta(hours=1) > window.since)


def _ended_after(name: Path, window: Window) -> bool:
    """Whether a file was closed late enough to hold calls of the window; its name tells the second, rounded down."""
    closed = _stamp(_CLOSED, name, "%Y%m%dT%H%M%SZ")
    return closed is None or closed + timedelta(seconds=1) > window.since


def _stamp(pattern: re.Pattern[str], name: Path, layout: str) -> datetime | None:
    """The instant in a name, if one is in it."""
    found = pattern.fullmatch(name.name)
    try:
        return datetime.strptime(found[1], layout).replace(tzinfo=UTC) if found is not None else None
    except ValueError:  # an hour 25
        return None


def _whole(name: Path) -> bool:
    """Whether it ends as Parquet ends: a file that a broken disk cut must not hide all others. One that is gone is
    asked for, so that the directory is looked at again."""
    try:
        with name.open("rb") as file:
            file.seek(-min(len(_MAGIC), _size(name)), os.SEEK_END)
            return file.read() == _MAGIC
    except FileNotFoundError:
        return True


def _size(name: Path) -> int:
    try:
        return name.stat().st_size
    except FileNotFoundError:
        return 0

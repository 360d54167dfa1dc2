"""What of a call log has to go: files whose calls are older than is kept, and the oldest ones when all together take
more than their share of the disk. The files that are being written never go.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.telemetry.naming import Names


@dataclass(frozen=True, slots=True)
class Kept:
    """One file: until when (Unix seconds) calls in it may have begun or ended, and its bytes."""

    path: Path
    until: float
    size: int


def expired(
    files: Iterable[Kept], live: int, now: float, keep: float | None, disk: int | None
) -> tuple[int, list[Kept]]:
    """How many of the second, which are to go, go for their age. The others go because of `disk`, of which the files
    that are being written take `live` bytes."""
    oldest_first = sorted(files, key=lambda each: (each.until, each.path.name))
    old = [each for each in oldest_first if keep is not None and each.until < now - keep]
    rest, gone = oldest_first[len(old) :], list(old)
    total = live + sum(each.size for each in rest)
    for each in rest:
        if disk is None or total <= disk:
            break
        gone.append(each)
        total -= each.size
    return len(old), gone


def found(names: Names) -> list[Kept]:
    """The finished files of a log that are there."""
    kept = []
    for entry in os.scandir(names.live.parent):
        if names.is_hour(entry.name) or names.is_closed(entry.name) or names.is_broken(entry.name):
            try:
                kept.append(Kept(Path(entry.path), _until(names, entry.name), entry.stat().st_size))
            except FileNotFoundError:
                continue  # somebody was faster
    return kept


def _until(names: Names, name: str) -> float:
    """By the name and not by the clock of the file: a copy of a log is as old as its calls."""
    stamp = names.stamp(name)
    try:
        if names.is_hour(name):
            return (_instant(stamp, "%Y%m%dT%HZ") + timedelta(hours=1)).timestamp()
        return _instant(stamp, "%Y%m%dT%H%M%SZ").timestamp()
    except (ValueError, OverflowError):  # a name that somebody made up, or the last hour there is
        return float("inf")


def _instant(stamp: str, form: str) -> datetime:
    return datetime.strptime(stamp, form).replace(tzinfo=UTC)

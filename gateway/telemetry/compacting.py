"""Closed files of a call log become Parquet, hour by hour, and small files of an hour that is over become one. It needs
DuckDB, so only the process that compacts imports it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from gateway.telemetry.naming import TEMPORARY, Names
from gateway.telemetry.parquet import Parquet
from gateway.telemetry.replacing import replace, unfinished
from gateway.telemetry.sift import sift

PIECE = 256 << 20  # bytes of lines that are sorted at once
MAX_HOURS = 48  # in one piece
MAX_LINE = 4 << 20
MAX_BROKEN = 1 << 20  # bytes that are kept of what one file has of it
SMALL = 16 << 20  # bytes; a larger Parquet file is left as it is
MANY = 8  # so many small ones of an hour that is over become one
LARGE = 64 << 20  # bytes of small files that go into one


class Compaction:
    """Of one log, by whoever holds its lock. `say` gets sentences for the operator."""

    def __init__(self, names: Names, say: Callable[[str], None]) -> None:
        self._names = names
        self._folder = names.live.parent
        self._say = say
        self._parquet = Parquet(self._folder / f"{names.live.stem}-sort{TEMPORARY}")
        self._taken: set[str] = set()

    def clear(self) -> None:
        """Removes what was not finished."""
        for path in self._folder.iterdir():
            if self._names.is_unfinished(path.name):
                _remove(path)

    def closed(self) -> list[Path]:
        return sorted(path for path in self._folder.iterdir() if self._names.is_closed(path.name))

    def compact(self, source: Path) -> None:
        """One closed file. Its lines are in Parquet afterwards, each once."""
        size, outputs = source.stat().st_size, list[Path]()
        with source.open("rb") as lines:
            pieces = _Pieces(self._names.broken(source))
            for piece in pieces.read(lines):
                for hour, spooled in piece.items():
                    outputs.append(self._new(hour))
                    self._parquet.of_lines(spooled, unfinished(outputs[-1]))
                    spooled.unlink()
        if pieces.broken:
            outputs.append(self._names.broken(source))
            self._say(f"{source.name}: {pieces.broken} lines are no records; look into {outputs[-1].name}")
        if source.stat().st_size == size:  # else somebody writes to it still: the next time
            replace(self._names, [source], outputs)

    def merge(self, now_hour: str) -> None:
        """Every hour before this one that has too many small files."""
        for hour, parts in groupby(sorted(self._small()), key=self._hour_of):
            for some in _groups(list(parts)) if hour < now_hour else ():
                out = self._new(hour)
                self._parquet.merged(some, unfinished(out))
                replace(self._names, some, [out])

    def close(self) -> None:
        self._parquet.close()

    def _small(self) -> Iterator[Path]:
        for path in self._folder.iterdir():
            if self._names.is_hour(path.name) and path.stat().st_size < SMALL:
                yield path

    def _hour_of(self, path: Path) -> str:
        return path.stem.removeprefix(self._names.live.stem + "-").partition("-")[0]

    def _new(self, hour: str) -> Path:
        """A name that nobody has, or had in this run."""
        number = 1
        while (path := self._names.hour(hour, number)).name in self._taken or path.exists():
            number += 1
        self._taken.add(path.name)
        return path


class _Pieces:
    """The calls of a file spooled by their hours, so much at once as may be sorted; broken lines are set aside."""

    def __init__(self, broken: Path) -> None:
        self.broken = 0  # lines
        self._aside = unfinished(broken)
        self._aside_bytes = 0
        self._spools: dict[str, BinaryIO] = {}
        self._size = 0

    def read(self, lines: BinaryIO) -> Iterator[dict[str, Path]]:
        while line := lines.readline(MAX_LINE):
            self._add(line)
            if self._size >= PIECE or len(self._spools) >= MAX_HOURS:
                yield self._take()
        yield self._take()

    def _add(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            found = sift(line)
        except ValueError:
            self._set_aside(line)
            return
        if found is not None:
            hour, clean = found
            if hour not in self._spools:
                self._spools[hour] = unfinished(self._aside.with_suffix(f".{hour}")).open("wb")
            self._spools[hour].write(clean)
            self._size += len(clean)

    def _set_aside(self, line: bytes) -> None:
        self.broken += 1
        kept = line.rstrip(b"\n")[: max(MAX_BROKEN - self._aside_bytes, 0)]
        self._aside_bytes += len(kept) + 1
        with self._aside.open("ab") as file:
            if kept:
                file.write(kept + b"\n")
            _sync(file)

    def _take(self) -> dict[str, Path]:
        spools, self._spools, self._size = self._spools, {}, 0
        for file in spools.values():
            file.close()
        return {hour: Path(file.name) for hour, file in spools.items()}


def _groups(parts: list[Path]) -> list[list[Path]]:
    """Those to make one of; nothing while there are few."""
    groups: list[list[Path]] = [[]]
    size = 0
    for part in parts if len(parts) >= MANY else ():
        size += part.stat().st_size
        if size > LARGE:
            groups.append([])
            size = part.stat().st_size
        groups[-1].append(part)
    return [group for group in groups if len(group) > 1]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())

"""The names of the files of a call log, and which of them hold every line exactly once. Beside the live `calls.jsonl`
lie closed files, `calls-20260131T140000Z-000017.jsonl`, and compacted hours, `calls-20260131T13Z-1.parquet`. Every
process that writes has a live file of its own: the first that, the others `calls.w1.jsonl`, which is closed as
`calls.w1-20260131T140000Z-000017.jsonl`, and so on.

What is being compacted stands in a journal: from the instant it is there, its outputs count and its inputs do not, even
if a crash has left both. So whoever reads takes the list from `readable`, and asks again when a file is gone.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

TEMPORARY = ".tmp"  # ends the name of a file that is not finished
_WRITER = r"(\.w\d{1,3})?"  # who wrote a file, if it was not the first
_PATIENCE = 100  # looks at a directory that changes under the eyes of the reader


@dataclass(frozen=True, slots=True)
class Names:
    """Of one call log, by the path of its live file."""

    live: Path

    @classmethod
    def of(cls, path: Path) -> Names:
        """Of the log at this path. A link to a file elsewhere has its files there."""
        return cls(path.resolve() if path.is_symlink() and (path.is_file() or not path.exists()) else path)

    @property
    def journal(self) -> Path:
        return self.live.with_name(f"{self.live.stem}.compacting")

    @property
    def lock(self) -> Path:
        """Whoever compacts holds it."""
        return self.live.with_name(f"{self.live.stem}.lock")

    def writer(self, number: int) -> Path:
        """The live file of one of those that write."""
        return self.live.with_name(f"{self.live.stem}.w{number}{self.live.suffix}") if number else self.live

    def number_of(self, name: str) -> int | None:
        """Which of those that write a live file belongs to; None for a name that is none of theirs."""
        if name == self.live.name:
            return 0
        pattern = rf"{re.escape(self.live.stem)}\.w([1-9]\d{{0,2}}){re.escape(self.live.suffix)}"
        found = re.fullmatch(pattern, name, re.ASCII)
        return int(found[1]) if found is not None else None

    def closed(self, stamp: str, number: int, live: Path | None = None) -> Path:
        """`stamp` is that of the rename, `20260131T140000Z`, and `number` its microseconds. No two files that write
        share names: those of a `live` begin with what it is called."""
        return self.live.with_name(f"{(live or self.live).stem}-{stamp}-{number:06}{self.live.suffix}")

    def hour(self, hour: str, number: int) -> Path:
        """`hour` is that of the calls in it, `20260131T13Z`."""
        return self.live.with_name(f"{self.live.stem}-{hour}-{number}.parquet")

    def broken(self, closed: Path) -> Path:
        """Lines of a closed file that are no records."""
        return closed.with_suffix(".broken")

    def is_closed(self, name: str) -> bool:
        return self._is(name, rf"{_WRITER}-\d{{8}}T\d{{6}}Z", re.escape(self.live.suffix))

    def is_hour(self, name: str) -> bool:
        return self._is(name, r"-\d{8}T\d{2}Z", r"\.parquet")

    def is_broken(self, name: str) -> bool:
        return self._is(name, rf"{_WRITER}-\d{{8}}T\d{{6}}Z", r"\.broken")

    def stamp(self, name: str) -> str:
        """The instant in the name of a finished file."""
        return name[len(self.live.stem) :].partition("-")[2].partition("-")[0]

    def is_unfinished(self, name: str) -> bool:
        """Made by a compaction that may have crashed; what the journal names is not finished, but counts."""
        pattern = rf"{re.escape(self.live.stem)}({_WRITER}-\d{{8}}T\d.*|-sort|\.compacting){re.escape(TEMPORARY)}"
        return re.fullmatch(pattern, name) is not None

    def _is(self, name: str, stamp: str, suffix: str) -> bool:
        return re.fullmatch(rf"{re.escape(self.live.stem)}{stamp}-\d+{suffix}", name) is not None


@dataclass(frozen=True, slots=True)
class Journal:
    """File names: `inputs` are replaced by `outputs`, which end in `TEMPORARY` until they are renamed."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Journal:
        try:
            found = json.loads(path.read_bytes())
            return cls(tuple(found["inputs"]), tuple(found["outputs"]))
        except FileNotFoundError:
            return cls()

    def text(self) -> bytes:
        return json.dumps({"inputs": self.inputs, "outputs": self.outputs}).encode()


@dataclass(frozen=True, slots=True)
class Readable:
    """The files that together hold each line of a log once."""

    parquet: tuple[Path, ...]
    lines: tuple[Path, ...]  # JSON lines; the live files are the last


def readable(live: Path) -> Readable:
    """What to read of the log whose live file this is; the oldest files first."""
    names = Names.of(live)
    seen: tuple[Journal, list[str]] | None = None
    for _ in range(_PATIENCE):
        found = Journal.read(names.journal), sorted(_listed(names.live.parent))
        if found == seen:
            break
        seen = found
    assert seen is not None
    return _chosen(names, *seen)


def _listed(folder: Path) -> list[str]:
    """What lies there. A directory that may not be looked into raises, for it is not empty."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _chosen(names: Names, journal: Journal, there: list[str]) -> Readable:
    kept = [name for name in there if name not in journal.inputs and name not in journal.outputs]
    outputs = [name if name in there else name + TEMPORARY for name in journal.outputs if names.is_hour(name)]
    parquet = [name for name in kept if names.is_hour(name)] + outputs
    live = sorted((number, name) for name in there if (number := names.number_of(name)) is not None)
    lines = [name for name in kept if names.is_closed(name)] + [name for _, name in live]
    folder = names.live.parent
    return Readable(tuple(folder / name for name in sorted(parquet)), tuple(folder / name for name in lines))

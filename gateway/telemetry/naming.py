"""The names of the files of a call log, and which of them hold every line exactly once. Beside the live file
`calls.jsonl` lie closed ones, `calls-20260131T140000Z-1.jsonl`, and compacted hours, `calls-20260131T13Z-1.parquet`.

What is being compacted stands in a journal: from the instant it is there, its outputs count and its inputs do not, even
if a crash has left both. So whoever reads takes the list from `readable`, and asks again when a file is gone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

TEMPORARY = ".tmp"  # ends the name of a file that is not finished
_PATIENCE = 100  # looks at a directory that changes under the eyes of the reader


@dataclass(frozen=True, slots=True)
class Names:
    """Of one call log, by the path of its live file."""

    live: Path

    @property
    def journal(self) -> Path:
        return self.live.with_name(f"{self.live.stem}.compacting")

    @property
    def broken(self) -> Path:
        """Lines that are no records."""
        return self.live.with_name(f"{self.live.stem}.broken")

    @property
    def lock(self) -> Path:
        """Whoever compacts holds it."""
        return self.live.with_name(f"{self.live.stem}.lock")

    def closed(self, stamp: str, number: int) -> Path:
        """`stamp` is that of the rename, `20260131T140000Z`."""
        return self.live.with_name(f"{self.live.stem}-{stamp}-{number}{self.live.suffix}")

    def hour(self, hour: str, number: int) -> Path:
        """`hour` is that of the calls in it, `20260131T13Z`."""
        return self.live.with_name(f"{self.live.stem}-{hour}-{number}.parquet")

    def is_closed(self, name: str) -> bool:
        return self._is(name, r"\d{8}T\d{6}Z", re.escape(self.live.suffix))

    def is_hour(self, name: str) -> bool:
        return self._is(name, r"\d{8}T\d{2}Z", r"\.parquet")

    def _is(self, name: str, stamp: str, suffix: str) -> bool:
        return re.fullmatch(rf"{re.escape(self.live.stem)}-{stamp}-\d+{suffix}", name) is not None


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
    lines: tuple[Path, ...]  # JSON lines; the live file is the last


def readable(live: Path) -> Readable:
    """What to read of the log whose live file this is; the oldest files first."""
    names = Names(live)
    seen: tuple[Journal, list[str]] | None = None
    for _ in range(_PATIENCE):
        found = Journal.read(names.journal), sorted(path.name for path in live.parent.glob("*"))
        if found == seen:
            break
        seen = found
    assert seen is not None
    return _chosen(names, *seen)


def _chosen(names: Names, journal: Journal, there: list[str]) -> Readable:
    kept = [name for name in there if name not in journal.inputs and name not in journal.outputs]
    outputs = [name if name in there else name + TEMPORARY for name in journal.outputs]
    parquet = [name for name in kept if names.is_hour(name)] + outputs
    lines = [name for name in kept if names.is_closed(name)] + [names.live.name] * (names.live.name in there)
    folder = names.live.parent
    return Readable(tuple(folder / name for name in sorted(parquet)), tuple(folder / name for name in lines))

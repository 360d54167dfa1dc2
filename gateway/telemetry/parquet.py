"""The only file that writes Parquet: DuckDB with one thread and bounded memory, which sorts on disk what does not fit.
It is imported by the process that compacts, never by the one that serves.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

from gateway.telemetry.columns import COLUMNS, MORE

MEMORY = "256MiB"
_TYPES = {**COLUMNS, MORE: "JSON"}


class Parquet:
    """Writes files that are whole and on the disk when a method returns. `aside` is where too large a sort goes."""

    def __init__(self, aside: Path) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY,
            "threads": "1",
            "temp_directory": str(aside),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        self._database = duckdb.connect(config=config)

    def of_lines(self, lines: Path, out: Path) -> None:
        """`lines` are those of `sift`."""
        columns = ", ".join(f"{_text(name)}: {_text(kind)}" for name, kind in _TYPES.items())
        source = (
            f"read_json({_text(lines)}, format='newline_delimited', columns={{{columns}}}, maximum_object_size=8388608)"
        )
        self._copy(source, out)

    def merged(self, parts: Sequence[Path], out: Path) -> None:
        """One file in the place of several; columns that only some have stay."""
        names = ", ".join(_text(part) for part in parts)
        self._copy(f"read_parquet([{names}], union_by_name=true)", out)

    def _copy(self, source: str, out: Path) -> None:
        target = f"{_text(out)} (FORMAT parquet, COMPRESSION zstd)"
        self._database.execute(f"COPY (SELECT * FROM {source} ORDER BY time) TO {target}")
        with out.open("rb") as written:
            os.fsync(written.fileno())

    def close(self) -> None:
        self._database.close()


def _text(value: object) -> str:
    """A literal of SQL. File names and types only: nothing of a request gets here."""
    return "'" + str(value).replace("'", "''") + "'"

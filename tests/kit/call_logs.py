"""Call logs on disk: lines to put into one, and every line that can be read of one, as `readable` has it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from gateway.telemetry.naming import readable

HOUR = 3600.0
NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


def moment(wall: float) -> str:
    """As it stands in a record."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def line(call: str, wall: float = NOON, **fields: Any) -> bytes:
    """A record of a call that began then, with so much in it as a test looks at."""
    record = {"v": 1, "time": moment(wall), "id": call, "route": "all", "outcome": "news", "took": 1.5, **fields}
    return json.dumps(record).encode() + b"\n"


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """One for all that is read: making one takes longer than reading. It remembers nothing of a file, which may be
    another one under the same name."""
    return duckdb.connect(config={"threads": "1", "enable_external_file_cache": "false"})


def compacted(path: Path) -> list[dict[str, Any]]:
    """The calls of one Parquet file, in its order."""
    with _database().cursor() as database:
        found = database.execute("SELECT * FROM read_parquet(?)", [str(path)])
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def calls(live: Path, field: str = "id") -> Counter[str]:
    """How often each call of a log can be read: once, if all is well. Torn lines and holds that begin are none. A file
    that is gone was compacted meanwhile: it is looked again."""
    while True:
        there = readable(live)
        try:
            found = Counter(call[field] for path in there.parquet for call in compacted(path))
            for path in there.lines:
                found.update(_lines(path.read_bytes(), field))
        except (FileNotFoundError, duckdb.IOException):
            continue
        return found


def _lines(data: bytes, field: str) -> list[str]:
    found = []
    for text in data.split(b"\n"):
        try:
            record = json.loads(text)
        except ValueError:
            continue
        if "kind" not in record:
            found.append(record[field])
    return found

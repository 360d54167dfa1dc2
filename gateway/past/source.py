"""The view `calls`: every call of one log within a window, whatever of it is compacted, closed or still written, each
call once. The connection behind it can read these files and do nothing else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import duckdb

from gateway.past.files import Files, listed
from gateway.past.when import Window
from gateway.telemetry.columns import COLUMNS, KIND, MORE
from gateway.telemetry.record import VERSION

T = TypeVar("T")

MOST_SPILLED = "16GiB"
_TRIES = 3
_WHOLE = f"v = {VERSION} AND time IS NOT NULL AND id IS NOT NULL AND {KIND} IS NULL"
_TIME = COLUMNS["time"]


@dataclass(frozen=True, slots=True)
class Means:
    """What a question may take of the machine."""

    memory: int = 1 << 30  # bytes
    threads: int = 0  # as many as there are cores
    spill: bool = True  # onto disk, what memory has no room for; whoever may be killed leaves it behind


@dataclass(frozen=True, slots=True)
class Past:
    """A connection with the view `calls`, and what a person should know of what it shows."""

    connection: duckdb.DuckDBPyConnection
    window: Window
    files: int
    size: int  # bytes
    notes: tuple[str, ...] = ()


def asked(path: Path, window: Window, question: Callable[[Past], T], means: Means | None = None) -> T:
    """The answer to a question about the calls of a window. Asked again when a file vanished meanwhile: the oldest
    ones are removed while the gateway runs."""
    for attempt in range(_TRIES):
        try:
            with connect(path, window, means) as past:
                return question(past)
        except (duckdb.IOException, duckdb.PermissionException):  # the latter when it looks for what is not there
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("unreachable")


@contextmanager
def connect(path: Path, window: Window | None = None, means: Means | None = None) -> Iterator[Past]:
    """The calls of the log whose live file is `path`. Raises ValueError with a sentence when there is no log."""
    window, means = window or Window(), means or Means()
    with (
        tempfile.TemporaryDirectory(prefix="gateway-past-") if means.spill else nullcontext("") as spill,
        listed(path, window) as files,
        duckdb.connect(":memory:", config=_config(means, spill)) as connection,
    ):
        connection.execute("SET TimeZone = 'UTC'")
        lines = _read_lines(connection, files, window)
        files = _sound(connection, files)
        others = _view(connection, files, window)
        _lock(connection, files)
        yield Past(connection, window, files.count, files.size, tuple(_notes(files, lines, others)))


def damaged(error: duckdb.Error) -> str:
    """A sentence about files that the database cannot read."""
    said = " ".join(str(error).split())
    return f"the files of the log cannot be read: {said[:300]}; if one of them is damaged, move it away"


def narrowed(past: Past, window: Window) -> Past:
    """The same connection, whose `calls` are from now on only those of a part of its window."""
    past.connection.execute("ALTER VIEW calls RENAME TO wider")
    past.connection.execute(
        f"CREATE TEMP VIEW calls AS SELECT * FROM wider WHERE time >= CAST('{text_of(window.since)}' AS {_TIME})"
    )
    return replace(past, window=window)


def text_of(instant: datetime) -> str:
    """An instant as a parameter: text, which means the same whichever kind of timestamp the column is."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _config(means: Means, spill: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{means.memory}B",
        "threads": means.threads or min(os.cpu_count() or 1, 8),
        "temp_directory": spill,
        "max_temp_directory_size": MOST_SPILLED,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "preserve_insertion_order": False,
        "python_enable_replacements": False,
    }


def _lock(connection: duckdb.DuckDBPyConnection, files: Files) -> None:
    connection.execute("SET allowed_paths = ?", [[str(each) for each in files.hours]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


@dataclass(frozen=True, slots=True)
class _Lines:
    """What the JSON lines held beside whole records."""

    unreadable: int = 0
    others: int = 0  # of another version of the schema


def _read_lines(connection: duckdb.DuckDBPyConnection, files: Files, window: Window) -> _Lines:
    """The table `recent`: lines of the window that are not compacted yet. What cannot be read becomes a row of NULL."""
    kinds = COLUMNS | {KIND: "VARCHAR"}
    columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    connection.execute(f"CREATE TEMP TABLE recent ({columns})")
    if not files.lines:
        return _Lines()
    torn = files.torn()
    connection.execute(
        f"INSERT INTO recent SELECT {', '.join(kinds)} FROM read_json(?, format = 'newline_delimited', "
        f"columns = {_struct(kinds)}, ignore_errors = true) "
        f"WHERE (time >= CAST(? AS {_TIME}) AND time < CAST(? AS {_TIME})) "
        f"OR time IS NULL OR v IS DISTINCT FROM {VERSION}",
        [[f"/dev/fd/{each}" for each in files.lines], text_of(window.since), text_of(window.until)],
    )
    unreadable, others = _one_row(connection, (
        f"SELECT count(*) FILTER (v IS NULL OR (v = {VERSION} AND (time IS NULL OR (id IS NULL AND {KIND} IS NULL)))), "
        f"count(*) FILTER (v <> {VERSION}) FROM recent"
    ))  # fmt: skip
    return _Lines(max(unreadable - max(torn, files.torn()), 0), others)


def _one_row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row


def _struct(kinds: dict[str, str]) -> str:
    return "{" + ", ".join(f"'{name}': '{kind}'" for name, kind in kinds.items()) + "}"


def _sound(connection: duckdb.DuckDBPyConnection, files: Files) -> Files:
    """Without the Parquet whose own description is damaged: it must not hide all others."""
    if not files.hours or _describes(connection, files.hours):
        return files
    good = tuple(each for each in files.hours if _describes(connection, (each,)))
    return replace(files, hours=good, broken=(*files.broken, *(each for each in files.hours if each not in good)))


def _describes(connection: duckdb.DuckDBPyConnection, hours: tuple[Path, ...]) -> bool:
    try:
        connection.execute(f"DESCRIBE SELECT v, time, id FROM read_parquet({_texts(hours)}, union_by_name = true)")
    except duckdb.Error:
        if not all(each.exists() for each in hours):
            raise  # it was removed, and is asked for again
        return False
    return True


def _view(connection: duckdb.DuckDBPyConnection, files: Files, window: Window) -> int:
    """The view `calls`; returns how many compacted records are of another version of the schema."""
    parts = [f"SELECT {_columns(set(COLUMNS))} FROM recent WHERE {_WHOLE}"]
    others = 0
    if files.hours:
        source = f"read_parquet({_texts(files.hours)}, union_by_name = true)"
        has = {row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        bounds = [f"time {sign} CAST('{text_of(instant)}' AS {_TIME})"
                  for sign, instant in ((">=", window.since), ("<", window.until))]  # fmt: skip
        parts.append(f"SELECT {_columns(has)} FROM {source} WHERE {' AND '.join([f'v = {VERSION}', *bounds])}")
        (others,) = _one_row(connection, f"SELECT count(*) FROM {source} WHERE v <> {VERSION}")
    connection.execute(f"CREATE TEMP VIEW calls AS {' UNION ALL '.join(parts)}")
    return others


def _columns(has: set[str]) -> str:
    """Every column of the record; what an older file does not have is absent in it."""
    kinds = COLUMNS | {MORE: "JSON"}
    return ", ".join(f"CAST({name if name in has else 'NULL'} AS {kind}) AS {name}" for name, kind in kinds.items())


def _texts(paths: tuple[Path, ...]) -> str:
    """Paths as a list of SQL: a view takes no parameters."""
    return "[" + ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths) + "]"


def _notes(files: Files, lines: _Lines, compacted: int) -> Iterator[str]:
    others = lines.others + compacted
    if lines.unreadable:
        yield f"{_counted(lines.unreadable, 'line')} could not be read and {_are(lines.unreadable)} left out"
    if others:
        yield (
            f"{_counted(others, 'record')} of another schema version than {VERSION} {_are(others)} left out; ask with "
            f"the version of the gateway that wrote {'it' if others == 1 else 'them'}"
        )
    for each in files.broken:
        yield f"{each.name} is damaged, or no part of a log, and is left out"


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"

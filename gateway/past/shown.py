"""Records of calls as people and programs read them: a table, JSON, lines of JSON, CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

import orjson

from gateway.past.calls import Record
from gateway.past.kinds import kind_of
from gateway.telemetry.columns import COLUMNS
from gateway.telemetry.record import clean

FORMATS = ("table", "json", "jsonl", "csv")
TABLE = ("time", "route", "outcome", "status", "consumer", "held", "took", "endpoint", "id")
_LOOKED_AT = 1000  # rows that say how wide the columns of a table are
_WIDEST = 48  # characters of a cell; the formats for programs cut nothing


def lines(records: Iterable[Record], layout: str, fields: Sequence[str]) -> Iterator[str]:
    """The lines of a format, as they come where it allows that."""
    if layout == "table":
        cells = ([_cell(record.get(name)) for name in fields] for record in records)
        yield from table([name.upper() for name in fields], cells, [_right(name) for name in fields])
    elif layout == "json":
        yield from _array(records)
    elif layout == "jsonl":
        yield from (orjson.dumps(record, default=str).decode() for record in records)
    else:
        yield from _csv(records, fields)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> Iterator[str]:
    """Columns under their titles, aligned as the first rows want it; nothing where there are no rows."""
    rest = iter(rows)
    first = list(islice(rest, _LOOKED_AT))
    if not first:
        return
    widths = [max(len(row[column]) for row in (head, *first)) for column in range(len(head))]
    for row in chain([head], first, rest):
        cells = [cell.rjust(width) if at_right else cell.ljust(width)
                 for cell, width, at_right in zip(row, widths, right, strict=True)]  # fmt: skip
        yield "  ".join(cells).rstrip()


def _right(name: str) -> bool:
    return name in COLUMNS and kind_of(name) in ("seconds", "bytes", "number")


def _cell(value: object) -> str:
    """One value in a terminal: of bounded width, and nothing in it that a terminal would obey."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    text = clean(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())
    return text if len(text) <= _WIDEST else text[: _WIDEST - 2] + ".."


def _array(records: Iterable[Record]) -> Iterator[str]:
    """One array, a record at a time: there may be more of them than fit into memory."""
    between = "["
    for record in records:
        yield between
        text = orjson.dumps(record, option=orjson.OPT_INDENT_2, default=str).decode().replace("\n", "\n  ")
        yield f"  {text}"
        between = ","
    yield "[]" if between == "[" else "]"


def _csv(records: Iterable[Record], fields: Sequence[str]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="")
    writer.writerow(fields)
    yield _taken(buffer)
    for record in records:
        writer.writerow([_plain(record.get(name)) for name in fields])
        yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _plain(value: object) -> object:
    return orjson.dumps(value, default=str).decode() if isinstance(value, (dict, list)) else value

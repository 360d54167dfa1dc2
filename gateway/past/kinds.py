"""The fields of a record as a filter sees them: what kind of value each has, and how a value of it is written. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from gateway.config.durations import parse_duration, parse_size
from gateway.outcome import Blame, Outcome
from gateway.past.when import span
from gateway.telemetry.columns import COLUMNS

Value = str | int | float

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_SIZES = frozenset({"bytes_in", "bytes_out"})
_WORDS: dict[str, frozenset[str]] = {
    "outcome": frozenset(each.value for each in Outcome),
    "blame": frozenset(each.value for each in Blame),
    "level": frozenset({"info", "notice", "warning", "error"}),
}
EXAMPLES = {"number": "504", "seconds": "20 or 500ms", "bytes": "1024 or 16KiB", "text": '"text"',
            "time": "2025-01-15T09:30:00Z"}  # fmt: skip


def kind_of(column: str) -> str:
    """seconds, bytes, number, text, time, list or map."""
    kind = COLUMNS[column].upper()
    if column in _SIZES:
        return "bytes"
    if kind.endswith("[]"):
        return "list"
    if kind.startswith(("MAP", "JSON", "STRUCT")):
        return "map"
    if kind.startswith("TIMESTAMP"):
        return "time"
    if kind in ("DOUBLE", "FLOAT", "REAL"):
        return "seconds"
    return "text" if kind == "VARCHAR" else "number"


def known_words(column: str) -> frozenset[str]:
    """Every value of a field that has only some; none for all others."""
    return _WORDS.get(column, frozenset())


def read_value(kind: str, text: str) -> Value:
    """A value as it is written, as a parameter. Raises ValueError for what is none of its kind."""
    if kind == "text":
        text.encode()  # what came in bytes that are no UTF-8 is no text
        return text
    if kind == "time":
        return _instant(text)
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    if kind == "seconds":
        ago = span(text)
        return ago.total_seconds() if ago is not None else parse_duration(text)
    if kind == "bytes":
        return parse_size(text)
    raise ValueError(f"{text!r} is not a number")


def _instant(text: str) -> str:
    found = datetime.fromisoformat(text)
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.strftime("%Y-%m-%d %H:%M:%S.%f")

"""From the lines of a closed file to what DuckDB is given: calls, each in its hour, with every value of the type of its
column. What does not fit a column goes into `more`; what is no record at all (a line that a full disk cut) is broken.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import orjson

from gateway.telemetry.columns import COLUMNS, KIND, MORE

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def sift(line: bytes) -> tuple[str, bytes] | None:
    """The hour of a call (`20260131T13Z`) and its line; None for a line that is no call. ValueError: it is broken."""
    record = orjson.loads(line)
    if not isinstance(record, dict):
        raise ValueError("no object")
    if KIND in record:
        return None
    if record.get("v") is None or not isinstance(record.get("id"), str):
        raise ValueError("no record")  # who reads lines leaves it out, too
    hour = _hour(record.get("time"))
    strange = [name for name, value in record.items() if not _fits(name, value)]
    if strange:
        record[MORE] = {name: record.pop(name) for name in strange}
    try:
        return hour, orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError as error:  # it reads deeper than it writes
        raise ValueError(str(error)) from None


def _hour(time: object) -> str:
    if not isinstance(time, str) or _TIME.fullmatch(time) is None:
        raise ValueError("no time")
    datetime.fromisoformat(time)  # or there is no such day
    return f"{time[:4]}{time[5:7]}{time[8:13]}Z"


def _fits(name: str, value: object) -> bool:
    kind = COLUMNS.get(name)
    return kind is not None and (value is None or _FITS[kind](value))


def _text(value: object) -> bool:
    return isinstance(value, str)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(bits: int) -> Callable[[object], bool]:
    most = 1 << (bits - 1)
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and -most <= value < most


_FITS: dict[str, Callable[[object], bool]] = {
    "VARCHAR": _text,
    "TIMESTAMP": _text,  # looked at already
    "DOUBLE": _number,
    "SMALLINT": _whole(16),
    "INTEGER": _whole(32),
    "BIGINT": _whole(64),
    "VARCHAR[]": lambda value: isinstance(value, list) and all(map(_text, value)),
    "MAP(VARCHAR, VARCHAR)": lambda value: isinstance(value, dict) and all(map(_text, value.values())),
}

"""The JSON Schema of the lines of the call log, made from the table of columns and the list of endings: what
`gateway schema --record` prints and docs/record.schema.json holds. Under one number of it fields are only added.
"""

from __future__ import annotations

from typing import Any

from gateway.outcome import Blame, Outcome
from gateway.telemetry.columns import COLUMNS, KIND
from gateway.telemetry.record import MAX_ARGS, MAX_TEXT, VERSION

ALWAYS = (
    "v", "time", "id", "trace", "route", "method", "path", "status", "outcome", "blame", "level", "peer", "took",
    "work", "bytes_in", "bytes_out", "attempts",
)  # fmt: skip
OF_POLLS = ("dialect", "hold_asked", "hold_granted", "clamped_by", "held")  # all of them or none
NULLABLE = {"route", "status", "peer", "consumer", "tenant", "hold_asked", "hold_granted", "clamped_by", "endpoint"}
OF_START = (
    "v", KIND, "time", "id", "trace", "route", "consumer", "tenant", "peer", "path", "hold_asked", "hold_granted",
    "clamped_by", "endpoint", "ends_at",
)  # fmt: skip

_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
_KINDS: dict[str, dict[str, Any]] = {
    "VARCHAR": {"type": "string", "maxLength": 10 * MAX_TEXT},  # an escaped character takes so many
    "TIMESTAMP": _TIME,
    "DOUBLE": {"type": "number"},
    "SMALLINT": {"type": "integer"},
    "INTEGER": {"type": "integer", "minimum": 0},
    "BIGINT": {"type": "integer", "minimum": 0},
    "VARCHAR[]": {"type": "array", "items": {"type": "string"}, "maxItems": MAX_ARGS},
    "MAP(VARCHAR, VARCHAR)": {"type": "object", "additionalProperties": {"type": "string"}},
}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_OWN: dict[str, dict[str, Any]] = {
    "v": {"const": VERSION},
    "status": {"type": "integer", "minimum": 100, "maximum": 599},
    "worker": _COUNT,
    "outcome": {"enum": [each.value for each in Outcome]},
    "blame": {"enum": [each.value for each in Blame]},
    "level": {"enum": ["info", "notice", "warning", "error"]},
    "clamped_by": {"enum": ["min", "max", "token", "drain", "front"]},
}
_TEXT: dict[str, Any] = _KINDS["VARCHAR"]
_OF_EVENTS: dict[str, dict[str, Any]] = {
    "v": _OWN["v"], "time": _TIME, "level": _OWN["level"], "upstream": _TEXT, "endpoint": _TEXT, "why": _TEXT,
    "taking": _COUNT, "members": _COUNT,
}  # fmt: skip
_OF_EJECTIONS: dict[str, dict[str, Any]] = {
    "until": _TIME, "lasts": {"type": "number", "minimum": 0}, "strikes": _COUNT, "times": _COUNT,
}  # fmt: skip
_NOT_NEGATIVE = ("took", "work", "waited", "first_byte", "news_latency", "held")


def record_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of the call log",
        "oneOf": [_call(), _start(), _event(("eject",)), _event(("probe", "restore"))],
    }


def _call() -> dict[str, Any]:
    return {
        "title": "A call that ended",
        "type": "object",
        "properties": {name: _field(name, name in NULLABLE) for name in COLUMNS},
        "required": list(ALWAYS),
        "dependentRequired": {"dialect": list(OF_POLLS), "consumer": ["tenant"]},
        "not": {"required": [KIND]},
    }


def _start() -> dict[str, Any]:
    fields = {KIND: {"const": "start"}, "ends_at": {"anyOf": [_TIME, {"type": "null"}]}}
    return {
        "title": "A hold that began",
        "type": "object",
        "properties": {name: fields.get(name) or _field(name, name in NULLABLE) for name in (*OF_START, "worker")},
        "required": list(OF_START),
    }


def _event(kinds: tuple[str, ...]) -> dict[str, Any]:
    ejected = kinds == ("eject",)
    fields = {KIND: {"enum": list(kinds)}} | _OF_EVENTS | (_OF_EJECTIONS if ejected else {})
    return {
        "title": "An endpoint that was ejected" if ejected else "An endpoint that went out or came back by its health",
        "type": "object",
        "properties": fields | {"worker": _COUNT},
        "required": list(fields),
    }


def _field(name: str, nullable: bool) -> dict[str, Any]:
    found = dict(_OWN.get(name) or _KINDS[COLUMNS[name]])
    if name in _NOT_NEGATIVE:
        found["minimum"] = 0
    return {"anyOf": [found, {"type": "null"}]} if nullable else found

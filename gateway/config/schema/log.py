"""`[log]`: the record of calls, where it goes, what may be in it, and how long its files stay. Times are seconds, sizes
bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from gateway.config.durations import format_duration, format_size
from gateway.config.fields import Duration, Flag, Size, Text, as_list, default
from gateway.config.references import parse_file
from gateway.config.schema.base import Table

Place: TypeAlias = Path | Literal["stdout", "otlp"]
"""Where records go."""

SMALLEST, SHORTEST = 64 * 1024, 3600.0
OWN_SUFFIXES = (".parquet", ".broken", ".lock", ".compacting", ".tmp")  # of files beside that of the log
_PLACE = {"type": "string", "examples": ["stdout", "file:var/calls.jsonl", "otlp"]}


def _calls(value: object, info: ValidationInfo) -> tuple[Place, ...]:
    base = info.context.get("base") if isinstance(info.context, dict) else None
    items = as_list(value)
    assert isinstance(items, (list, tuple))
    places = tuple(_place(item, base if isinstance(base, Path) else Path()) for item in items)
    if not places:
        raise ValueError('is empty; write "stdout", "file:PATH" or "otlp"')
    if len(set(places)) < len(places) or sum(isinstance(place, Path) for place in places) > 1:
        raise ValueError("names a place twice, or two files; name each place once, and one file")
    return places


def _place(value: object, base: Path) -> Place:
    if value == "stdout":
        return "stdout"
    if value == "otlp":
        return "otlp"
    if not isinstance(value, str) or not value.startswith("file:"):
        raise ValueError('is not a destination; write "stdout", "file:PATH" or "otlp", or a list of them')
    path = parse_file(value, base)
    if path.suffix in OWN_SUFFIXES:
        raise ValueError(f'a file that ends in {path.suffix} is of another kind; write "file:{path.stem}.jsonl"')
    return path


def _large(value: int) -> int:
    if value < SMALLEST:
        raise ValueError(f'would be full at once; write {format_size(SMALLEST)} or more, such as "64MiB"')
    return value


def _long(value: float) -> float:
    if value < SHORTEST:
        raise ValueError(f'is shorter than the hour that a file has; write "{format_duration(SHORTEST)}" or longer')
    return value


class Rotate(Table):
    """`[log.rotate]`: a file is closed when it has this `size` or its hour ends, and compacted to Parquet. Closed and
    compacted files stay so long (`keep`), as far as all of them fit into `disk`."""

    size: Annotated[Size, AfterValidator(_large)] = default("64MiB")
    keep: Annotated[Duration, AfterValidator(_long)] = default("720h")
    disk: Size = default("10GiB")
    parquet: Flag = True


def _rotate(value: object) -> object:
    if value is False:
        return None
    if not isinstance(value, (dict, Rotate)):
        raise ValueError("is not a table; write [log.rotate], or false to leave the file to others")
    return value


class Log(Table):
    """`[log]`: the record of calls. `calls` is where it goes, one place or several. `rotate` None: a file is written,
    and the rest is left to others.

    `query_values` names the query parameters whose values may be logged; of all others only the name is. `peer` is how
    much of a client's address, and `cursor` whether that of a poll, may be logged.
    """

    calls: Annotated[
        tuple[Place, ...],
        PlainValidator(_calls),
        WithJsonSchema({"anyOf": [_PLACE, {"type": "array", "items": _PLACE, "minItems": 1}]}),
    ] = default("stdout")
    start_of_hold: Flag = False
    query_values: tuple[Text, ...] = ()
    peer: Literal["full", "network", "none"] = "full"
    cursor: Flag = True
    level: Literal["debug", "info", "notice", "warning", "error"] = "info"
    rotate: Annotated[Rotate | None, BeforeValidator(_rotate, json_schema_input_type=Literal[False] | Rotate)] = Field(
        default_factory=Rotate
    )

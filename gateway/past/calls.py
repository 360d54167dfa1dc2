"""Which calls, in which order, how many: a query over the view `calls`, and its rows as the records they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import orjson

from gateway.config.problems import did_you_mean
from gateway.past import kinds
from gateway.past.source import Past
from gateway.past.tokens import WhereError
from gateway.past.where import Filter, parse
from gateway.telemetry.columns import COLUMNS, MORE

Record = dict[str, object]

EXACT = ("route", "outcome", "consumer", "tenant", "endpoint", "status", "id")  # options with a value to be equal to
LIMIT = 100
ALL = (*COLUMNS, MORE)
_CHUNK = 1000  # rows fetched at once


@dataclass(frozen=True, slots=True)
class Query:
    """A question about single calls. `limit` 0 is all of them; no `fields` are all of them."""

    condition: Filter
    sort: str = "-time"
    limit: int = LIMIT
    fields: tuple[str, ...] = ALL

    @property
    def sql(self) -> str:
        column = self.sort.removeprefix("-")
        order = f'"{column}" {"DESC" if self.sort.startswith("-") else "ASC"} NULLS LAST' + ', "id"' * (column != "id")
        limit = f" LIMIT {self.limit + 1}" if self.limit else ""
        names = ", ".join(f'"{name}"' for name in self.fields)
        return f"SELECT {names} FROM calls WHERE {self.condition.sql} ORDER BY {order}{limit}"


def make_query(
    exact: Mapping[str, Sequence[str]],
    where: str | None,
    sort: str = "-time",
    limit: int = LIMIT,
    fields: Sequence[str] = (),
) -> Query:
    """A query of options: of `exact` each field equals one of its values. Raises ValueError with a sentence."""
    column = sort.removeprefix("-")
    if column not in COLUMNS or kinds.kind_of(column) in ("list", "map"):
        raise ValueError(f"sort: cannot sort by {column!r}; {did_you_mean(column, _SORTABLE)}")
    for name in fields:
        if name not in COLUMNS:
            raise ValueError(f"fields: there is no field {name!r}; {did_you_mean(name, COLUMNS)}")
    return Query(_both(_exactly(exact), parse(where) if where is not None else Filter()), sort, limit,
                 tuple(dict.fromkeys(fields)) or ALL)  # fmt: skip


_SORTABLE = tuple(name for name in COLUMNS if kinds.kind_of(name) not in ("list", "map"))


def _exactly(exact: Mapping[str, Sequence[str]]) -> Filter:
    parts, values = [], list[kinds.Value]()
    for name, wanted in exact.items():
        if not wanted:
            continue
        if name not in EXACT:
            raise ValueError(f"there is no option {name!r}; {did_you_mean(name, EXACT)}")
        parts.append(f'"{name}" IN ({", ".join("?" * len(wanted))})')
        values += [_exact_value(name, each) for each in wanted]
    return Filter(" AND ".join(parts) or "true", tuple(values))


def _exact_value(name: str, text: str) -> kinds.Value:
    words = kinds.known_words(name)
    if words and text not in words:
        raise ValueError(f"{name}: is never {text!r}; {did_you_mean(text, words)}")
    try:
        return kinds.read_value(kinds.kind_of(name), text)
    except ValueError:
        example = f"a number; write such as {name} 504" if kinds.kind_of(name) == "number" else "UTF-8; write text"
        raise ValueError(f"{name}: {text!r} is not {example}") from None


def _both(one: Filter, other: Filter) -> Filter:
    return Filter(f"({one.sql}) AND ({other.sql})", one.values + other.values, other.patterns, other.expression)


def records(past: Past, query: Query) -> Iterator[Record]:
    """The calls, one more than the limit if there are more. What was null is absent."""
    _check_patterns(past, query.condition)
    found = past.connection.execute(query.sql, list(query.condition.values))
    while rows := found.fetchmany(_CHUNK):
        for row in rows:
            yield _record(dict(zip(query.fields, row, strict=True)))


def _check_patterns(past: Past, condition: Filter) -> None:
    for token in condition.patterns:
        try:
            past.connection.execute("SELECT regexp_matches('', ?)", [token.text]).fetchall()
        except duckdb.InvalidInputException as error:
            said = str(error).partition(": ")[2].partition("\n")[0] or "it cannot be read"
            message = f"is not a regular expression (RE2): {said}; put a backslash before signs that mean themselves"
            raise WhereError(message, condition.expression, token.position) from None


def _record(row: Record) -> Record:
    """A row as the line it was: what the compaction did not know is back in its place."""
    more = _object(row.pop(MORE, None))
    record = {name: _value(name, value) for name, value in row.items() if value is not None}
    return record | {name: value for name, value in more.items() if name not in record}


def _value(name: str, value: object) -> object:
    if isinstance(value, datetime):
        instant = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
        return instant.isoformat(timespec="milliseconds") + "Z"
    return _object(value) if name in COLUMNS and kinds.kind_of(name) == "map" and isinstance(value, str) else value


def _object(value: object) -> Record:
    """A map, which is kept as text of JSON or as a map."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return {}
    return value if isinstance(value, dict) else {}

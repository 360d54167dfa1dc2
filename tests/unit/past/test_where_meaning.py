"""What a filter means, against a second opinion: any filter over rows with and without values finds in the database
what the same filter finds when Python decides it, with two values and no third.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.past.where import parse

Row = dict[str, float | str | None]
Rule = tuple[str, Callable[[Row], bool]]

ROWS: list[Row] = [
    {"held": held, "route": route, "status": status}
    for held in (None, 0.0, 20.0, 25.5)
    for route in (None, "updates", "a'b")
    for status in (None, 200, 504)
]
SIGNS = {"=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@pytest.fixture(scope="module")
def calls() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE calls (number INTEGER, held DOUBLE, route VARCHAR, status SMALLINT)")
        connection.executemany(
            "INSERT INTO calls VALUES (?, ?, ?, ?)", [[number, *row.values()] for number, row in enumerate(ROWS)]
        )
        yield connection


def compared(field: str, sign: str, text: str, value: float | str) -> Rule:
    def holds(row: Row) -> bool:
        found = row[field]
        return sign == "!=" if found is None else bool(SIGNS[sign](found, value))

    return f"{field} {sign} {text}", holds


def matched(sign: str, pattern: str) -> Rule:
    def holds(row: Row) -> bool:
        return (row["route"] is not None and re.search(pattern, str(row["route"])) is not None) == (sign == "~")

    return f'route {sign} "{pattern}"', holds


def among(negated: bool, values: list[int]) -> Rule:
    text = f"status {'not ' * negated}in ({', '.join(map(str, values))})"
    return text, lambda row: (row["status"] in values) != negated


def absent(field: str, negated: bool) -> Rule:
    return f"{field} is {'not ' * negated}null", lambda row: (row[field] is None) != negated


NUMBERS = st.sampled_from([("20", 20), ("20s", 20), ("25500ms", 25.5), ("0", 0), ("-1", -1)])
LEAVES: st.SearchStrategy[Rule] = st.one_of(
    st.builds(lambda sign, value: compared("held", sign, *value), st.sampled_from(list(SIGNS)), NUMBERS),
    st.builds(lambda sign, value: compared("status", sign, str(value), value), st.sampled_from(list(SIGNS)),
              st.sampled_from([200, 504, 99999])),
    st.builds(lambda sign, value: compared("route", sign, f'"{value}"', value), st.sampled_from(["=", "!="]),
              st.sampled_from(["updates", "a'b", "%"])),
    st.builds(matched, st.sampled_from(["~", "!~"]), st.sampled_from(["^up", "'", "x$", "."])),
    st.builds(among, st.booleans(), st.lists(st.sampled_from([200, 404, 504]), min_size=1, max_size=3)),
    st.builds(absent, st.sampled_from(["held", "route", "status"]), st.booleans()),
)  # fmt: skip


def joined(word: str, one: Rule, other: Rule) -> Rule:
    both = all if word == "and" else any
    return f"({one[0]}) {word} ({other[0]})", lambda row: both((one[1](row), other[1](row)))


def negated(one: Rule) -> Rule:
    return f"not ({one[0]})", lambda row: not one[1](row)


RULES = st.recursive(
    LEAVES,
    lambda rules: st.one_of(st.builds(joined, st.sampled_from(["and", "or"]), rules, rules), st.builds(negated, rules)),
    max_leaves=8,
)


@given(RULES)
def test_the_database_finds_what_python_finds(calls: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    text, holds = rule
    condition = parse(text)
    sql = f"SELECT number FROM calls WHERE {condition.sql} ORDER BY number"
    found = [number for (number,) in calls.execute(sql, list(condition.values)).fetchall()]
    assert found == [number for number, row in enumerate(ROWS) if holds(row)]


@given(LEAVES, LEAVES, LEAVES)
def test_and_binds_closer_than_or(calls: duckdb.DuckDBPyConnection, one: Rule, two: Rule, three: Rule) -> None:
    condition = parse(f"{one[0]} or {two[0]} and {three[0]}")
    sql = f"SELECT number FROM calls WHERE {condition.sql} ORDER BY number"
    found = [number for (number,) in calls.execute(sql, list(condition.values)).fetchall()]
    assert found == [number for number, row in enumerate(ROWS) if one[1](row) or (two[1](row) and three[1](row))]

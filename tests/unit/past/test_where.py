"""The filter language: what it means, what it refuses and where it points, and that no text ever becomes SQL."""

from __future__ import annotations

import re
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.past.tokens import MAX_LENGTH, WhereError
from gateway.past.where import MAX_DEPTH, MAX_VALUES, parse
from gateway.telemetry.columns import COLUMNS

ROWS = {
    "a": {"route": "updates", "outcome": "news", "status": 200, "held": 1.5, "bytes_out": 2048, "consumer": "alice",
          "query": ["since", "token"], "query_values": {"since": "5", "it's": "x"}, "time": "2025-01-15 09:00:00"},
    "b": {"route": "updates", "outcome": "client_gone", "status": None, "held": 25.0, "bytes_out": 0, "consumer": None,
          "query": None, "query_values": None, "time": "2025-01-15 10:00:00"},
    "c": {"route": None, "outcome": "no_route", "status": 404, "held": None, "bytes_out": 120, "consumer": "bob's",
          "query": [], "query_values": {}, "time": "2025-01-15 11:00:00"},
}  # fmt: skip


@pytest.fixture(scope="module")
def calls() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE calls ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        for name, row in ROWS.items():
            marks = ", ".join("?" * (len(row) + 1))
            connection.execute(f"INSERT INTO calls (id, {', '.join(row)}) VALUES ({marks})", [name, *row.values()])
        yield connection


def found(calls: duckdb.DuckDBPyConnection, expression: str) -> str:
    condition = parse(expression)
    rows = calls.execute(f"SELECT id FROM calls WHERE {condition.sql} ORDER BY id", list(condition.values)).fetchall()
    return "".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("expression", "ids"),
    [
        ("held > 20", "b"),
        ("held > 20s", "b"),
        ("held >= 1500ms and held <= 1.5", "a"),
        ("held < 2d", "ab"),
        ("status = 200", "a"),
        ("status == 200 or status = 404", "ac"),
        ("status != 200", "bc"),  # what has none has not this one
        ("not status = 200", "bc"),
        ("not (not status = 200)", "a"),
        ("status <> 200 and status is not null", "c"),
        ("status in (200, 404)", "ac"),
        ("status not in (200, 404)", "b"),
        ("outcome = client_gone", "b"),
        ("outcome in (news, 'no_route')", "ac"),
        ("route is null", "c"),
        ("ROUTE IS NULL", None),
        ("route IS NOT NULL AND NOT held > 20", "a"),
        ('consumer = "bob\'s"', "c"),
        ("consumer = 'bob\\'s'", "c"),
        ("consumer ~ '^a.*e$'", "a"),
        ("consumer !~ '^a'", "bc"),
        ('consumer contains "\'"', "c"),
        ("consumer not contains i", "bc"),
        ("query contains since", "a"),
        ("not query contains since", "bc"),
        ("query_values.since = '5'", "a"),
        ('query_values.since = 5 or consumer = "%"', "a"),
        ("query_values.other is null", "abc"),
        ("bytes_out >= 2KiB", "a"),
        ("bytes_out = 120", "c"),
        ("time >= 2025-01-15T10:00Z", "bc"),
        ('time < "2025-01-15T11:00:00+01:00"', "a"),
        ("held > 20 or status = 200 and route = updates", "ab"),
        ("(held > 20 or status = 200) and consumer is null", "b"),
        ("consumer = null_", ""),
        ("consumer = 'null'", ""),
    ],
)
def test_a_filter_finds_what_it_says(calls: duckdb.DuckDBPyConnection, expression: str, ids: str | None) -> None:
    if ids is None:  # names of fields are written as in the record
        with pytest.raises(WhereError):
            parse(expression)
    else:
        assert found(calls, expression) == ids


@pytest.mark.parametrize(
    ("expression", "message", "column"),
    [
        ("", "is empty; write such as held > 20 and outcome = \"client_gone\"", 0),
        ("heldd > 20", "there is no field 'heldd'; did you mean 'held'?", 0),
        ("held > twenty", "'twenty' is not a number of seconds; write such as 20 or 500ms", 7),
        ("held", "held wants a comparison; write one of = != < <= > >= ~ !~ in contains is", 4),
        ("held >", "held wants a value; write such as 20 or 500ms", 6),
        ("held > 20 and", "here the name of a field is wanted; write such as held > 20", 13),
        ("held > 20 status = 200", 'here a filter could end; write "and" or "or" before what follows', 10),
        ("(held > 20", 'a bracket is not closed; write ")"', 10),
        ("held > 20)", 'here a filter could end; write "and" or "or" before what follows', 9),
        ("held ! 20", "'!' stands alone; write !=, !~ or not", 5),
        ("route = 'x", "a text is not closed; write ' at its end", 8),
        ("route > a", "route is text; write one of = != ~ !~ in contains", 6),
        ("route is updates", 'after "is" comes null or not null; for values write = or !=', 9),
        ("route = null", "null equals nothing; write route is null", 8),
        ("status ~ 5", "status is not text; write one of = != < <= > >= in", 7),
        ("status = OK", "'OK' is not a number; write such as 504", 9),
        ("status in 200", "values stand in brackets; write status in (a, b)", 10),
        ("status in (200 404)", 'a list is not closed; write "," or ")"', 15),
        ("outcome = nwes", "outcome is never 'nwes'; did you mean 'news'?", 10),
        ("query = x", 'query is a list; write query contains "x"', 6),
        ("query_values = x", 'query_values has values by name; write query_values.NAME = "x"', 13),
        ("route.x = y", "route has no parts; write route alone", 0),
        ("time > noon", "'noon' is not a time; write such as 2025-01-15T09:30:00Z", 7),
        ("1 = 1", "there is no field '1'; write one of: ", 0),
        ("'held' > 20", "here the name of a field is wanted; write such as held > 20", 0),
        ("and > 20", "here the name of a field is wanted; write such as held > 20", 0),
        ("bytes_out > 1 KiB", 'here a filter could end; write "and" or "or" before what follows', 14),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_a_caret_at_the_place(expression: str, message: str, column: int) -> None:
    with pytest.raises(WhereError) as refused:
        parse(expression)
    said, line, caret = str(refused.value).splitlines()
    assert said.startswith(f"where: {message}") or said == f"where: {message}"
    assert (line, caret) == (f"  {expression}", " " * (column + 2) + "^")


INJECTIONS = [
    "1=1; DROP TABLE calls", "held > 20; DROP TABLE calls", "held > 20 -- ", "held > 20 /* */", "true",
    "held > 20 OR 1=1",
    "route = 'a' UNION SELECT * FROM read_text('/etc/passwd')", "(SELECT 1) = 1", "held > (SELECT 1)",
    "read_text('/etc/passwd') = 'x'", "route = read_text('/etc/passwd')", "held > 20) OR (1=1", "COPY calls TO 'x'",
    "route = 'a'::TEXT", "\"route\" = 'a'", "calls.route = 'a'", "route || 'x' = 'a'", "held + 1 > 2", "$1 = 1",
    "? = 1",
    "ATTACH 'x'", "route LIKE 'a%'", "held BETWEEN 1 AND 2", "CAST(held AS TEXT) = '1'", "route = 'a' LIMIT 1",
    "rowid = 1",
    "filename = 'x'", "v = 1\x00", "held > 1e9", "held > 0x10", "held > -", "route IN (SELECT route FROM calls)", "*",
    "()",
    "not", "not not", "held > 20 and and held > 20", "\u2028", "held \u2265 20", "PRAGMA version", "INSTALL httpfs",
    "consumer = '\ud800'",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_that_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(WhereError):
        parse(text)


HARMLESS = [
    "'; DROP TABLE calls; --", "' OR '1'='1", "\\'; --", '" OR 1=1 --', "x' UNION SELECT * FROM calls --", "%", "?",
    "$1", "\x00",
    "{}", "'",
    '"', "\\", "'''", "\u2028",
]  # fmt: skip


@pytest.mark.parametrize("value", HARMLESS)
def test_sql_inside_a_value_is_a_value(calls: duckdb.DuckDBPyConnection, value: str) -> None:
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    for expression in (f"consumer = {quoted}", f"consumer contains {quoted}", f"consumer in ({quoted}, {quoted})"):
        condition = parse(expression)
        assert set(condition.values) == {value}
        assert value not in condition.sql.replace('"consumer"', "").replace("?", "") or not value
    assert calls.execute("SELECT count(*) FROM calls").fetchall() == [(len(ROWS),)]


def test_the_name_of_a_query_parameter_is_a_value(calls: duckdb.DuckDBPyConnection) -> None:
    for name in ("a]--*/", "\"a'] || version() || query_values['b\""):
        condition = parse(f"query_values.{name} is null")
        assert condition.sql == '"query_values"[?] IS NULL'
        assert found(calls, f"query_values.{name} is null") == "abc"
    assert found(calls, 'query_values."it\'s" = x') == "a"


# What SQL may be made of: names of columns, signs, words and functions of ours, marks for values.
OURS = re.compile(
    r"(?:\"(?:"
    + "|".join(COLUMNS)
    + r")\"|NOT|AND|OR|IN|IS|NULL|DISTINCT|FROM|CAST\(\? AS TIMESTAMP\)|coalesce|contains"
    r"|list_contains|regexp_matches|false|\[\?\]|[()=<>,? ]|<=|>=)*"
)


def only_ours(expression: str) -> None:
    try:
        condition = parse(expression)
    except WhereError:
        return
    assert OURS.fullmatch(condition.sql), condition.sql
    assert condition.sql.count("?") == len(condition.values)


@given(st.text(max_size=60))
def test_any_text_is_refused_or_becomes_sql_of_ours(text: str) -> None:
    only_ours(text)


WORDS = st.sampled_from([
    *COLUMNS, "query_values.x", "=", "!=", "<", ">=", "~", "!~", "in", "not", "is", "null", "and", "or",
    "contains", "(", ")", ",", "20", "20s", "1KiB", "news", "'a'", '"; DROP TABLE calls; --"', "--", ";", "SELECT",
    "''", "2025-01-15",
])  # fmt: skip


@given(st.lists(WORDS, max_size=14))
def test_any_words_are_refused_or_become_sql_that_runs(words: list[str]) -> None:
    expression = " ".join(words)
    only_ours(expression)
    try:
        condition = parse(expression)
    except WhereError:
        return
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE calls ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        connection.execute(f"SELECT count(*) FROM calls WHERE {condition.sql}", list(condition.values)).fetchall()


def test_depth_length_and_values_are_bounded() -> None:
    parse("(" * (MAX_DEPTH - 1) + "held > 1" + ")" * (MAX_DEPTH - 1))
    for much in ("(" * MAX_DEPTH + "held > 1" + ")" * MAX_DEPTH, "not " * 10_000 + "held > 1", "x" * (MAX_LENGTH + 1),
                 f"status in ({', '.join('1' for _ in range(MAX_VALUES + 1))})"):  # fmt: skip
        with pytest.raises(WhereError):
            parse(much)


def test_a_message_shows_no_control_characters() -> None:
    with pytest.raises(WhereError) as refused:
        parse("held > \x1b[31mred")
    assert "\x1b" not in str(refused.value)
    assert str(refused.value).splitlines()[-1] == "  " + " " * 7 + "^"

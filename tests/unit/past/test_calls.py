"""Queries about single calls: which, in which order, how many, and that a record comes back as it was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.past.calls import Query, Record, make_query, records
from gateway.past.source import asked
from gateway.past.tokens import WhereError
from gateway.past.when import Window
from tests.kit.sick_days import NOON, call, poll, write

from .test_source import compacted

CALLS = [
    poll(NOON, "updates", "news", 3.0, id="a", consumer="alice", tenant="acme"),
    poll(NOON, "updates", "upstream_timeout", 30.0, id="b", consumer="bob", status=504),
    call(NOON, "page", "answered", id="c", consumer="alice", query=["q"], query_values={"q": "x"}),
    call(NOON, "page", "no_route", id="d", status=404) | {"route": None},
]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write(tmp_path / "calls.jsonl", iter(CALLS))
    return tmp_path / "calls.jsonl"


def ask(log: Path, query: Query) -> list[Record]:
    return asked(log, Window(), lambda past: list(records(past, query)))


def ids(found: list[Record]) -> str:
    return "".join(str(each["id"]) for each in found)


@pytest.mark.parametrize(
    ("exact", "found"),
    [
        ({}, "abcd"),
        ({"route": ["page"]}, "c"),
        ({"route": ["page", "updates"], "consumer": ["alice"]}, "ac"),
        ({"outcome": ["news", "no_route"]}, "ad"),
        ({"status": ["504", "404"]}, "bd"),
        ({"tenant": ["acme"]}, "a"),
        ({"id": ["b"], "endpoint": ["10.9.0.1:5000"]}, "b"),
        ({"consumer": ["' OR 1=1 --"]}, ""),
    ],
)
def test_options_choose_calls_by_their_values(log: Path, exact: dict[str, list[str]], found: str) -> None:
    assert ids(ask(log, make_query(exact, None, "id"))) == found


def test_options_and_a_filter_must_both_hold(log: Path) -> None:
    assert ids(ask(log, make_query({"consumer": ["alice"]}, "held > 1 or status = 404"))) == "a"


@pytest.mark.parametrize(("sort", "found"), [("held", "abcd"), ("-held", "bacd"), ("-status", "bdac"), ("-id", "dcba")])
def test_calls_are_sorted_and_those_without_the_field_come_last(log: Path, sort: str, found: str) -> None:
    assert ids(ask(log, make_query({}, None, sort))) == found


def test_one_more_than_the_limit_tells_that_there_are_more(log: Path) -> None:
    assert len(ask(log, make_query({}, None, limit=2))) == 3
    assert len(ask(log, make_query({}, None, limit=0))) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sort": "hold"}, "sort: cannot sort by 'hold'; did you mean 'held'?"),
        ({"sort": "query"}, "sort: cannot sort by 'query'; "),
        ({"sort": "-time; DROP TABLE calls"}, "sort: cannot sort by 'time; DROP TABLE calls'; "),
        ({"fields": ["tme"]}, "fields: there is no field 'tme'; did you mean 'time'?"),
        ({"exact": {"outcome": ["nwes"]}}, "outcome: is never 'nwes'; did you mean 'news'?"),
        ({"exact": {"consumer": ["\udcff"]}}, "consumer: '\\\\udcff' is not UTF-8; write text"),
        ({"exact": {"status": ["OK"]}}, "status: 'OK' is not a number; write such as status 504"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("?", r"\?")):
        make_query(**{"exact": {}, "where": None, **arguments})


def test_a_pattern_that_the_database_does_not_know_is_pointed_at(log: Path) -> None:
    with pytest.raises(WhereError) as refused:
        ask(log, make_query({}, "held > 1 and path ~ '(x'"))
    assert str(refused.value).splitlines() == [
        "where: is not a regular expression (RE2): missing ): (x; put a backslash before signs that mean themselves",
        "  held > 1 and path ~ '(x'",
        "                      ^",
    ]


def test_a_pattern_that_would_take_for_ever_elsewhere_is_quick(log: Path) -> None:
    """RE2 has no backtracking."""
    write(log, iter([call(NOON, "page", "answered", path="a" * 400)]))
    assert ask(log, make_query({}, "path ~ '^(a|a)*b$'")) == []


def test_a_record_comes_back_as_it_was_written(log: Path, tmp_path: Path) -> None:
    written = [{name: value for name, value in each.items() if value is not None} for each in CALLS]
    assert ask(log, make_query({}, None, "id")) == written
    compacted(tmp_path / "calls-20250115T12Z-1.parquet", log)
    log.unlink()
    assert ask(log, make_query({}, None, "id")) == written


def test_what_the_compaction_did_not_know_is_back_in_its_place(log: Path, tmp_path: Path) -> None:
    import duckdb

    with duckdb.connect() as writer:
        writer.execute(
            f"COPY (SELECT 1 AS v, TIMESTAMP '2025-01-15 12:00:00' AS time, 'x' AS id, "
            f"""CAST('{{"coalesced": 3, "id": "no"}}' AS JSON) AS more) TO '{tmp_path}/calls-20250115T12Z-1.parquet'"""
        )
    (found,) = ask(log, make_query({"id": ["x"]}, None))
    assert found == {"v": 1, "time": "2025-01-15T12:00:00.000Z", "id": "x", "coalesced": 3}
    assert orjson.loads(orjson.dumps(found)) == found

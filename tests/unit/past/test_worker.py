"""The worker from outside, as the serving process asks it: one question in, one answer out, and no is an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.past.worker import answer
from tests.kit.sick_days import NOON, SICK, call, write

NOW = datetime(2025, 1, 16, tzinfo=UTC)


def said(question: object) -> dict[str, Any]:
    text = question if isinstance(question, bytes) else orjson.dumps(question)
    found: dict[str, Any] = orjson.loads(orjson.dumps(answer(text, NOW), default=str))
    return found


def run(question: object) -> tuple[int, dict[str, Any], str]:
    """A process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway.past.worker"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_calls_trends_and_advice_are_answered_by_a_process(day: Path, tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    write(log, SICK["edge_cut"]())
    code, found, errors = run({"ask": "calls", "log": str(log), "route": "feed", "where": "held > 20", "limit": 2})
    assert (code, errors) == (0, "")
    assert (len(found["calls"]), found["more"], found["notes"]) == (2, True, [])
    code, found, errors = run(
        {"ask": "trends", "log": str(log), "since": "2025-01-15", "until": "2025-01-16", "by": "route"}
    )
    assert (code, errors) == (0, "")
    assert [(row["key"], row["now"]["calls"], row["before"]) for row in found["rows"]] == [("feed", 200, None)]
    code, found, errors = run({"ask": "advice", "log": str(log), "since": "2025-01-15", "until": "2025-01-16"})
    assert (code, errors) == (0, "")
    assert [each["kind"] for each in found["advice"]] == ["edge_cut"]


def test_trends_have_the_form_that_is_promised(day: Path) -> None:
    found = said({"ask": "trends", "log": str(day), "since": "12h", "by": "hour"})
    assert list(found) == ["since", "until", "by", "total", "before", "rows", "notes"]
    assert list(found["total"]) == [
        "calls", "polls", "news", "empty", "empty_share", "news_p50", "news_p95", "news_p99", "held_seconds",
        "evictions", "refusals", "errors",
    ]  # fmt: skip
    assert [row["key"] for row in found["rows"]][:2] == ["2025-01-15T12:00:00Z", "2025-01-15T13:00:00Z"]
    assert found["rows"][0]["before"]["calls"] > 0


def test_values_may_be_one_or_several(day: Path) -> None:
    several = said({"ask": "calls", "log": str(day), "outcome": ["capped", "evicted"], "limit": 1000})
    each = [said({"ask": "calls", "log": str(day), "outcome": one, "limit": 1000}) for one in ("capped", "evicted")]
    assert len(several["calls"]) == sum(len(one["calls"]) for one in each) > 0
    assert said({"ask": "calls", "log": str(day), "status": 504}) == said(
        {"ask": "calls", "log": str(day), "status": "504"}
    )


def test_what_is_null_is_as_if_it_was_left_out(day: Path) -> None:
    bare = {"ask": "calls", "log": str(day)}
    assert said({**bare, "since": None, "route": None, "where": None, "limit": None}) == said(bare)


REFUSED = [
    (b"{", "the question is not JSON: "),
    (b"[]", 'the question is no object; write {"ask": "calls", "log": ..}'),
    ({"ask": "sql"}, "ask: is none of calls, trends, advice"),
    ({"ask": "calls"}, "log: is not a text"),
    ({"ask": "calls", "log": "LOG", "sql": "SELECT 1"}, "sql: is no part of a question about calls; write some of ask"),
    ({"ask": "calls", "log": "LOG", "where": "1=1; DROP TABLE calls"}, "where: there is no field '1'; write one of: "),
    ({"ask": "calls", "log": "LOG", "where": "path ~ '('"}, "where: is not a regular expression (RE2): "),
    ({"ask": "calls", "log": "LOG", "limit": 0}, "limit: is not a number from 1 to 1000"),
    ({"ask": "calls", "log": "LOG", "limit": True}, "limit: is not a number from 1 to 1000"),
    ({"ask": "calls", "log": "LOG", "route": {"a": 1}}, "route: is neither a text nor a list of texts"),
    ({"ask": "calls", "log": "LOG", "outcome": "nwes"}, "outcome: is never 'nwes'; did you mean 'news'?"),
    ({"ask": "calls", "log": "LOG", "sort": "x"}, "sort: cannot sort by 'x'"),
    ({"ask": "calls", "log": "LOG", "since": "soon"}, '"soon" is neither a duration nor a time'),
    ({"ask": "calls", "log": "LOG", "memory": "much"}, '"much" is not a size; '),
    ({"ask": "trends", "log": "LOG", "by": "endpoint"}, "by: is none of hour, day, route, consumer, tenant"),
    ({"ask": "trends", "log": "LOG", "since": "400d"}, "by: the time has more than 1000 hours; write by day"),
    ({"ask": "trends", "log": "LOG", "where": "held > 1"}, "where: is no part of a question about trends"),
    ({"ask": "advice", "log": "NOWHERE"}, "there is no call log at "),
]  # fmt: skip


@pytest.mark.parametrize(("question", "error"), REFUSED)
def test_a_question_that_is_refused_is_answered_with_why(day: Path, tmp_path: Path, question: Any, error: str) -> None:
    if isinstance(question, dict) and "log" in question:
        question = question | {"log": str({"LOG": day}.get(question["log"], tmp_path / "calls.jsonl"))}
    found = said(question)
    assert list(found) == ["error"]
    assert found["error"].startswith(error)


def test_a_refused_question_is_no_failure_of_the_process() -> None:
    assert run({"ask": "calls", "log": "/nowhere/calls.jsonl", "where": "'"})[0] == 0


def test_a_log_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").mkdir()
    assert "error" in said({"ask": "calls", "log": str(tmp_path / "calls.jsonl")})


def test_too_little_memory_is_said_and_no_crash(tmp_path: Path) -> None:
    log = tmp_path / "calls.jsonl"
    write(log, (call(NOON, "page", "answered", path="x" * 512, consumer=f"{number}" * 20) for number in range(60_000)))
    found = said({"ask": "calls", "log": str(log), "memory": "4MiB", "sort": "path"})
    assert found.get("error", "").startswith("the answer needs more memory than it may take")


def test_the_loop_of_the_gateway_never_imports_a_database() -> None:
    code = "import sys; import gateway.app, gateway.serve; print({'duckdb', 'pygal', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""`python -m gateway.past.worker`: one question as JSON on standard input, one answer as JSON on standard output. So
asks the serving process, which never runs a database itself; it bounds the time by ending the process.

Questions; everything but `ask` and `log` may be left out or null. `log` is the path in `log.calls`; times are as
`--since` takes them ("1h", "2d", "2025-01-15T09:30:00Z"). A filter by value is a text or number, or a list of them.

    {"ask": "calls", "log": PATH, "since": null, "until": null, "route": "updates", "outcome": ["news", "empty"],
     "consumer": .., "tenant": .., "endpoint": .., "status": 504, "id": .., "where": "held > 20", "sort": "-time",
     "limit": 100}
      -> {"calls": [record, ..], "more": false, "notes": [..]}

    {"ask": "trends", "log": PATH, "since": "24h", "until": null, "limit": 50,
     "by": "hour" | "day" | "route" | "consumer" | "tenant"}
      -> {"since": "2025-01-15T09:30:00Z", "until": .., "by": "hour", "total": numbers, "before": numbers,
          "rows": [{"key": "updates" or "2025-01-15T09:00:00Z" or null, "now": numbers, "before": numbers or null}, ..],
          "notes": [..]}
      numbers = {"calls", "polls", "news", "empty", "empty_share", "news_p50", "news_p95", "news_p99",
                 "held_seconds", "evictions", "refusals", "errors"}
        Counts, seconds and a share; null where there is nothing to divide. "before" is the time of the same length just
        before. Rows by time are in its order and have no gaps, others begin with the most calls.

    {"ask": "advice", "log": PATH, "since": "24h", "until": null}
      -> {"advice": [{"kind": "edge_cut", "route": "updates" or null, "consumer": null, "text": "polls of ..",
                      "do": "set ..", "numbers": {"share": 0.9, ..}}, ..], "notes": [..]}

`limit` is 1 to 1000. "notes" are sentences for a person about what could not be read. A question that is refused is
answered {"error": "what is wrong; what to write instead"}, also with exit code 0; any other exit code is a failure of
ours. `"memory"` ("512MiB") and `"threads"` (1) bound what the answer may cost.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import orjson

from gateway.config.durations import parse_size
from gateway.past.advice import advise
from gateway.past.calls import EXACT, LIMIT, make_query, records
from gateway.past.source import Means, Past, asked, damaged
from gateway.past.trends import BY, trend_document
from gateway.past.when import Window, parse_window

MAX_LIMIT = 1000
MAX_QUESTION = 64 * 1024  # bytes

Question = Mapping[str, object]
Answer = dict[str, object]

_COMMON = frozenset({"ask", "log", "since", "until", "memory", "threads"})
_KEYS = {
    "calls": _COMMON | {*EXACT, "where", "sort", "limit"},
    "trends": _COMMON | {"by", "limit"},
    "advice": _COMMON,
}


def main() -> None:
    """Reads, answers, writes."""
    text = sys.stdin.buffer.read(MAX_QUESTION + 1)
    sys.stdout.buffer.write(orjson.dumps(answer(text, datetime.now(UTC)), default=str))


def answer(text: bytes, now: datetime) -> Answer:
    """The answer to a question, an error among them."""
    try:
        return _answered(_question(text), now)
    except (ValueError, OSError, duckdb.Error) as error:
        return {"error": _said(error)}


def _said(error: Exception) -> str:
    if isinstance(error, duckdb.OutOfMemoryException):
        return "the answer needs more memory than it may take; ask for a shorter time"
    if isinstance(error, duckdb.Error):
        return damaged(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or 'cannot be read').lower()}; check who may read it"
    return str(error)


def _question(text: bytes) -> Question:
    if len(text) > MAX_QUESTION:
        raise ValueError(f"a question has at most {MAX_QUESTION} bytes")
    try:
        question = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"the question is not JSON: {error}") from None
    if not isinstance(question, dict):
        raise ValueError('the question is no object; write {"ask": "calls", "log": ..}')
    ask = question.get("ask")
    if not isinstance(ask, str) or ask not in _KEYS:
        raise ValueError(f"ask: is none of {', '.join(_KEYS)}")
    for name in question.keys() - _KEYS[ask]:
        raise ValueError(f"{name}: is no part of a question about {ask}; write some of {', '.join(sorted(_KEYS[ask]))}")
    return {name: value for name, value in question.items() if value is not None}


def _answered(question: Question, now: datetime) -> Answer:
    path = Path(_text(question, "log"))
    since = _optional(question, "since") or (None if question["ask"] == "calls" else "24h")
    window = parse_window(since, _optional(question, "until"), now)
    means = Means(
        parse_size(_optional(question, "memory") or "512MiB"), _number(question, "threads", 1, 64), spill=False
    )
    if question["ask"] == "calls":
        return _calls(path, window, question, means)
    if question["ask"] == "trends":
        return _trends(path, window, question, means)
    return asked(path, window, lambda past: {"advice": advise(past), "notes": past.notes}, means)


def _calls(path: Path, window: Window, question: Question, means: Means) -> Answer:
    exact = {name: _texts(question, name) for name in EXACT}
    limit = _number(question, "limit", LIMIT, MAX_LIMIT)
    query = make_query(exact, _optional(question, "where"), _optional(question, "sort") or "-time", limit)

    def ask(past: Past) -> Answer:
        found = list(records(past, query))
        return {"calls": found[:limit], "more": len(found) > limit, "notes": past.notes}

    return asked(path, window, ask, means)


def _trends(path: Path, window: Window, question: Question, means: Means) -> Answer:
    by = _optional(question, "by") or "hour"
    if by not in BY:
        raise ValueError(f"by: is none of {', '.join(BY)}")
    return trend_document(path, window, by, _number(question, "limit", 50, MAX_LIMIT), means)


def _optional(question: Question, name: str) -> str | None:
    return _text(question, name) if name in question else None


def _text(question: Question, name: str) -> str:
    value = question.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: is not a text")
    return value


def _texts(question: Question, name: str) -> list[str]:
    value = question.get(name, [])
    found = value if isinstance(value, list) else [value]
    if not all(isinstance(each, (str, int)) and not isinstance(each, bool) for each in found):
        raise ValueError(f"{name}: is neither a text nor a list of texts")
    return [str(each) for each in found]


def _number(question: Question, name: str, default: int, most: int) -> int:
    value = question.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise ValueError(f"{name}: is not a number from 1 to {most}")
    return value


if __name__ == "__main__":
    main()

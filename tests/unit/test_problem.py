"""Refusals in the words of the wire: an RFC 9457 document that names the call and nothing else."""

from __future__ import annotations

import json

import pytest

from gateway import refusals
from gateway.holds.plan import OwnWords
from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.problem import reason, render


def test_a_refusal_is_a_problem_document() -> None:
    headers, body = render(refusals.NO_ROUTE, "ab" * 16)
    assert dict(headers) == {b"Content-Type": b"application/problem+json", b"Cache-Control": b"no-store"}
    assert json.loads(body) == {
        "type": "urn:longpoll-gateway:no_route",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing is served at this path.",
        "instance": "ab" * 16,
    }


def test_the_fields_of_the_refusal_come_along() -> None:
    headers, _ = render(Refusal(Outcome.RATE_LIMITED, 429, "x", "X.", headers=((b"X", b"y"),), retry_after=7), "id")
    assert headers[:2] == ((b"X", b"y"), (b"Retry-After", b"7"))
    assert dict(render(refusals.method_not_allowed(("GET", "HEAD")), "id")[0])[b"Allow"] == b"GET, HEAD"
    assert b"WWW-Authenticate" in dict(render(refusals.EXPIRED, "id")[0])


def test_no_wait_is_told_where_there_is_none() -> None:
    assert b"Retry-After" not in dict(render(refusals.NO_ROUTE, "id")[0])
    assert dict(render(Refusal(Outcome.CAPPED, 429, "x", "X.", retry_after=0), "id")[0])[b"Retry-After"] == b"0"


def test_a_dialect_may_say_it_in_its_own_words() -> None:
    own = OwnWords(429, ((b"Content-Type", b"application/json"),), lambda *said: b'{"wait":%d}' % said[2])
    headers, body = render(
        Refusal(Outcome.RATE_LIMITED, 429, "x", "X.", headers=((b"X", b"y"),), retry_after=3), "id", own
    )
    assert body == b'{"wait":3}'
    assert headers == ((b"X", b"y"), (b"Retry-After", b"3"), (b"Cache-Control", b"no-store"), *own.headers)


def test_own_words_replace_only_the_fields_they_write() -> None:
    own = OwnWords(429, ((b"retry-after", b"9"), (b"cache-control", b"private")), lambda *said: b"")
    no = Refusal(Outcome.RATE_LIMITED, 429, "x", "X.", headers=((b"Allow", b"GET"),), retry_after=3)
    assert render(no, "id", own) == (((b"Allow", b"GET"), *own.headers), b"")


@pytest.mark.parametrize(("status", "phrase"), [(200, "OK"), (404, "Not Found"), (421, "Misdirected Request"), (599,
    "Unknown"), (0, "Unknown")])  # fmt: skip
def test_every_status_has_a_phrase(status: int, phrase: str) -> None:
    assert reason(status) == phrase

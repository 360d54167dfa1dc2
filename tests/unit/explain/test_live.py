"""Asking the running gateway: where it is asked, and questions that fit into a request line."""

from __future__ import annotations

import pytest

from gateway.config.addresses import Listen
from gateway.explain import live

LONG = "\U0001f600" * 256  # as long as a claim can be, in the characters that take the most bytes


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (Listen("127.0.0.1", 9090), "http://127.0.0.1:9090"),
        (Listen("::1", 9090), "http://[::1]:9090"),
        (Listen("0.0.0.0", 9090), "http://127.0.0.1:9090"),
        (Listen("::", 9090), "http://[::1]:9090"),
        (Listen("localhost", 9090), "http://localhost:9090"),
        (Listen("", 0, "/run/a.sock"), "http://localhost"),
    ],
)
def test_a_listener_for_everybody_is_asked_on_loopback(listen: Listen, url: str) -> None:
    assert live._base(listen) == url


@pytest.mark.parametrize("keys", [[LONG] * 9, ["alice"] * 200, [LONG, *["alice"] * 70, LONG], []])
def test_a_long_question_is_asked_in_parts_and_loses_nobody(keys: list[str]) -> None:
    pairs = [(f"policy.p.rate_limit.{number}", key) for number, key in enumerate(keys)]
    parts = list(live._batches(pairs, 64))
    assert [pair for part in parts for pair in part] == pairs
    assert all(0 < len(part) <= 64 and len(live._query(part)) < 8000 for part in parts)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"kind": None},
        {"kind": "rate"},
        {"kind": "rate", "left": "many"},
        {"kind": "rate", "left": True},
        {"left": 3},
    ],
)
def test_an_answer_without_numbers_is_no_count(told: dict[str, object]) -> None:
    assert not live._count(told).known

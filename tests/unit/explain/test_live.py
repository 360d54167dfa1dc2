"""Asking the running gateway: questions that fit into a request line, and answers that tell something."""

from __future__ import annotations

import pytest

from gateway.explain import live

LONG = "\U0001f600" * 256  # as long as a claim can be, in the characters that take the most bytes


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

"""A second poll of a session that would die of it: it is kept back until the first has ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drain import Drain
from gateway.outcome import Outcome
from gateway.pollers import Kept
from gateway.routing import Router, Rule
from tests.kit.pollers import FATAL, NEWEST, RULES, check_empty, crowd, kept, parked, poll, told


def test_the_second_poll_of_a_session_waits_until_the_first_has_ended_and_then_begins_anew() -> None:
    them = crowd(FATAL, answer="never", replay="session")
    first = poll(them, timeout=25)
    them.loop.advance(10)
    second = poll(them, timeout=25)
    assert kept(second) and them.sent == [first.call]
    them.loop.advance(8)
    first.answered()
    assert them.sent == [first.call], "not in the turn in which the first ends"
    them.loop.turns(2)
    assert parked(second) and second.call.wait_sent == pytest.approx(25, abs=0.1)
    assert second.call.deadline == pytest.approx(them.loop.now + 30, abs=0.1)
    assert second.call.waited == pytest.approx(8, abs=0.1)
    second.answered()
    check_empty(them)


@pytest.mark.parametrize("end", ["leaves", "is ended", "runs out"])
def test_whatever_ends_the_first_the_second_goes_on(end: str) -> None:
    them = crowd(FATAL)
    first = poll(them, timeout=5)
    second = poll(them, timeout=60)
    third = poll(them)
    assert told(third) == (Outcome.CONFLICT, 409), "only one waits"
    if end == "leaves":
        first.leave()
    elif end == "is ended":
        them.serve.on_evict(first.call)
    else:
        them.loop.advance(11)
    assert first.over
    them.loop.turns(2)
    assert parked(second)
    second.leave()
    check_empty(them)


def test_a_second_that_leaves_makes_room_for_another() -> None:
    them = crowd(FATAL)
    first, second = poll(them), poll(them)
    second.leave()
    third = poll(them)
    assert kept(third) and second.call.attempts == 0
    first.answered()
    them.loop.turns(2)
    assert parked(third)
    third.leave()
    check_empty(them)


@pytest.mark.parametrize(("answer", "outcome", "status"),
                         [("template", Outcome.BLANK, 200), ("never", Outcome.CONFLICT, 409)])  # fmt: skip
def test_a_second_that_waits_in_vain(answer: str, outcome: Outcome, status: int) -> None:
    them = crowd(FATAL, answer=answer)
    first, second = poll(them, timeout=60), poll(them, timeout=5)
    them.loop.advance(10.1)
    assert told(second) == (outcome, status) and second.call.attempts == 0
    first.leave()
    check_empty(them)


@pytest.mark.parametrize(("answer", "status"), [("template", 200), ("never", 409)])
def test_the_operator_ends_a_poll_that_is_kept_back(answer: str, status: int) -> None:
    them = crowd(FATAL, answer=answer)
    first, second = poll(them), poll(them)
    assert second.call.evictable and first.call.evictable is (answer == "template")
    them.serve.on_evict(second.call)
    assert told(second) == (Outcome.EVICTED, status)
    first.leave()
    check_empty(them)


@pytest.mark.parametrize("answer", ["template", "origin", "never"])
def test_a_drain_ends_both(answer: str) -> None:
    them = crowd(FATAL, answer=answer)
    both = [poll(them, timeout=60) for _ in range(2)]
    them.drain(10.0)
    them.loop.advance(10.2)
    assert [one.call.outcome for one in both] == [Outcome.DRAINED] * 2
    check_empty(them)


def test_a_second_whose_route_is_ended_does_not_begin_a_new_hold() -> None:
    them = crowd(FATAL, answer="origin")
    first, second = poll(them, timeout=60), poll(them, timeout=60)
    now = them.loop.now
    them.serve.on_drain(second.call, Drain(now, now + 20.0))
    first.answered()
    them.loop.turns(2)
    assert parked(second) and second.call.deadline == now + 20.0
    them.loop.advance(20.2)
    assert second.call.outcome is Outcome.DRAINED
    check_empty(them)


def test_a_revoked_caller_waits_no_longer() -> None:
    them = crowd(FATAL)
    first, second = poll(them), poll(them)
    them.serve.on_revoked(second.call)
    assert told(second) == (Outcome.REVOKED, 401)
    first.leave()
    check_empty(them)


def test_a_bug_in_the_second_ends_it_and_is_reported() -> None:
    them = crowd(FATAL)
    first, second = poll(them), poll(them)
    second.call.head = cast(Any, object())
    first.answered()
    them.loop.turns(2)
    assert told(second) == (Outcome.INTERNAL_ERROR, 500) and len(them.loop.errors) == 1
    them.loop.errors.clear()
    check_empty(them)


def test_a_reload_that_changes_the_rule_leaves_nobody_behind() -> None:
    them = crowd(FATAL)
    first, second = poll(them), poll(them)
    hold = them.plans["/updates"].hold
    assert hold is not None
    plan = replace(them.plans["/updates"], hold=replace(hold, concurrency=NEWEST))
    them.serve.snapshot = replace(them.serve.snapshot, router=Router([(Rule(None, "/updates", ()), plan)]))
    third = poll(them)
    them.loop.turns(3)
    assert [one.call.outcome for one in (first, second)] == [Outcome.SUPERSEDED] * 2 and parked(third)
    third.leave()
    check_empty(them)


MOVES = st.tuples(
    st.sampled_from(["poll", "leave", "news", "empty", "evict", "turn", "wait", "drain"]), st.integers(0, 9)
)


@given(st.sampled_from(RULES), st.booleans(), st.lists(MOVES, max_size=30))
def test_whatever_happens_one_poll_of_a_session_is_at_the_upstream_and_all_are_settled(
    rule: str, repoll: bool, moves: list[tuple[str, int]]
) -> None:
    them = crowd(rule, min_repoll=2.0 if repoll else 0.0)
    for move, number in moves:
        live = [one for one in them.callers if not one.over]
        chosen = live[number % len(live)] if live else None
        if move == "poll":
            poll(them, f"s{number % 2}")
        elif move in ("turn", "wait"):
            them.loop.turns(1) if move == "turn" else them.loop.advance(number)
        elif move == "drain":
            if number == 9:
                them.drain(5.0)
        elif chosen is None:
            pass
        elif move == "leave":
            chosen.leave()
        elif move == "evict":
            them.serve.on_evict(chosen.call)
        elif parked(chosen):
            chosen.answered() if move == "news" else chosen.answered(b"", 204)
        for sid in ("s0", "s1"):
            there = [one for one in them.callers if parked(one) and f"sid={sid}" in one.call.query]
            assert len(there) <= 1
        assert sum(isinstance(one.call.up, Kept) for one in them.callers) <= 4
    for one in them.callers:
        if not one.over:
            one.leave()
    check_empty(them)

"""A newer poll of one poller where limits count polls: it takes the place on of the older, and nobody else's."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.call import State
from gateway.outcome import Outcome
from gateway.policies.caps import Cap, compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from gateway.state.store import Tokens
from tests.kit.pollers import FATAL, NEWEST, OLDEST, begun, check_empty, crowd, parked, poll, told


def one(per: str = "route", **more: Any) -> Cap:
    return compile_cap("cap", True, 1, per, {}, **more)


@pytest.mark.parametrize("more", [{}, {"evict": True, "grace": 30.0}, {"max_waiting": 3}])
def test_a_cap_that_is_full_of_the_poll_that_gives_way_lets_the_newer_in(more: Any) -> None:
    them = crowd(NEWEST, caps=(one(**more),))
    older = poll(them)
    newer = poll(them)
    them.loop.turns(2)
    assert told(older) == (Outcome.SUPERSEDED, 409) and parked(newer)
    assert them.store.held("cap", "updates") == 1
    newer.leave()
    check_empty(them)


@pytest.mark.parametrize("most", [1, 5])
def test_a_newer_poll_takes_its_own_place_on_whoever_waits_for_one(most: int) -> None:
    them = crowd(NEWEST, caps=(one(max_waiting=most),))
    older, stranger = poll(them, "x", "a"), poll(them, "y", "b")
    assert stranger.spot is not None
    newer = poll(them, "x", "a")
    them.loop.turns(3)
    assert told(older) == (Outcome.SUPERSEDED, 409) and parked(newer)
    assert stranger.spot is not None, "nobody passed it by: there was no place for it"
    newer.leave()
    them.loop.turns(3)
    assert parked(stranger)
    stranger.leave()
    check_empty(them)


def test_a_newer_poll_stands_in_every_line_in_which_the_older_has_no_place() -> None:
    other = compile_cap("other", True, 1, "address", {}, max_waiting=5)
    them = crowd(NEWEST, caps=(compile_cap("cap", True, 9, "route", {}, max_waiting=5), other))
    older, holder = poll(them, "x", "a"), poll(them, "y", "b")
    stranger = poll(them, "z", "b")
    assert stranger.spot is not None
    newer = poll(them, "x", "b")
    them.loop.turns(2)
    assert newer.spot is not None and parked(older)
    for caller in (holder, stranger, newer, older):
        caller.leave()
    check_empty(them)


def test_a_newer_poll_that_its_limits_refuse_ends_nobody() -> None:
    rate = compile_rate_limit("rate", "rate", (1.0, 3600.0), 1, "route", {}, False)
    them = crowd(NEWEST, rates=(rate,), caps=(one(),))
    older, refused = poll(them), poll(them)
    assert parked(older) and refused.status == 429
    older.leave()
    check_empty(them)


def test_two_caps_of_which_another_fills_one_refuse_the_newer_and_leave_the_older() -> None:
    them = crowd(NEWEST, caps=(one("address"), compile_cap("all", True, 2, "route", {})))
    older, other = poll(them, "x", "a"), poll(them, "y", "b")
    refused = poll(them, "x", "b")  # the older gives way under "all", but under its own address `other` is in the way
    assert refused.status == 429 and parked(older) and parked(other)
    older.leave(), other.leave()
    check_empty(them)


def test_a_poll_that_lost_at_once_has_paid_nothing() -> None:
    rate = compile_rate_limit("rate", "rate", (1.0, 60.0), 5, "address", {}, False)
    them = crowd(OLDEST, rates=(rate,))
    first, second = poll(them), poll(them)
    them.loop.turns(1)
    assert told(second) == (Outcome.CONFLICT, 409)
    assert them.store.level(Tokens("rate", "a", rate.rate), them.loop.now).left == 4
    first.leave()
    check_empty(them)


def test_a_cap_full_of_a_poll_that_is_held_on_lets_the_newer_in() -> None:
    them, older = begun(NEWEST, caps=(one(),))
    newer = poll(them)
    them.loop.turns(2)
    assert older.call.outcome is Outcome.SUPERSEDED and parked(newer)
    assert them.store.held("cap", "updates") == 1
    newer.leave()
    check_empty(them)


def test_a_place_of_an_older_poll_through_which_news_passes_is_not_taken_over() -> None:
    them, older = begun(NEWEST, b"x" * 5000, caps=(one(),))
    newer = poll(them)
    assert newer.status == 429 and older.call.state is State.RELAYING
    assert them.store.held("cap", "updates") == 1
    older.leave()
    check_empty(them)


@pytest.mark.parametrize("rule", [OLDEST, FATAL])
def test_where_the_older_stays_a_full_cap_refuses_the_second(rule: str) -> None:
    them = crowd(rule, caps=(one(),))
    older, second = poll(them), poll(them)
    assert second.status == 429 and parked(older)
    older.leave()
    check_empty(them)


def test_who_came_earlier_and_is_let_in_later_does_not_take_the_place_of_the_newer() -> None:
    rate = compile_rate_limit("rate", "rate", (1.0, 4.0), 1, "address", {}, False, delay=True)
    them = crowd(NEWEST, rates=(rate,), caps=(one(),))
    poll(them, "z", "b").leave()
    older = poll(them, "x", "b")
    assert older.spot is not None, "it waits for a token"
    them.loop.turns(1)
    newer = poll(them, "x", "a")
    them.loop.advance(5.0)
    assert older.status == 429 and parked(newer)
    newer.leave()
    check_empty(them)


def test_a_newer_poll_passes_nobody_by_when_a_place_is_free_in_which_the_older_has_no_part() -> None:
    other = compile_cap("other", True, 1, "address", {}, max_waiting=5)
    them = crowd(NEWEST, caps=(compile_cap("cap", True, 9, "route", {}), other))
    older, holder, stranger = poll(them, "x", "a"), poll(them, "y", "b"), poll(them, "z", "b")
    holder.leave()
    newer = poll(them, "x", "b")
    them.loop.turns(3)
    assert parked(stranger) and parked(older) and newer.spot is not None
    for caller in (stranger, newer, older):
        caller.leave()
    check_empty(them)


def test_who_gave_way_to_his_own_poll_may_still_make_room_for_another() -> None:
    """The grace is for those who were evicted."""
    them = crowd(NEWEST, caps=(one("address", evict=True, grace=30.0),))
    poll(them, "x", "a")
    newer = poll(them, "x", "a")
    them.loop.turns(2)
    other = poll(them, "y", "a")
    assert parked(other) and newer.call.outcome is Outcome.EVICTED
    other.leave()
    check_empty(them)

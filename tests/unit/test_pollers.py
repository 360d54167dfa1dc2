"""A second poll of one poller where it gives way or the first does, and who counts as one poller: on a loop whose clock
jumps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.call import Call, State
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.pollers import LONGEST, key_of
from gateway.routing import Router, Rule
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from tests.kit.crowd import Crowd
from tests.kit.heads import head, response
from tests.kit.holds import hold_plan
from tests.kit.pollers import LOSER, NEWEST, OLDEST, RULES, check_empty, crowd, kept, parked, poll, told

# -- many -------------------------------------------------------------------------------------------------------------


def test_where_many_may_poll_nothing_is_looked_up_and_nothing_kept() -> None:
    def key(asked: object) -> str:
        raise AssertionError("nobody needs it")

    them = Crowd(hold=hold_plan(key=key))
    both = [poll(them), poll(them)]
    assert all(parked(one) and one.call.key is None for one in both)
    assert len(them.limits.pollers) == 0 and [len(one.call.leases) for one in both] == [1, 1]


# -- the newest wins --------------------------------------------------------------------------------------------------


def test_the_older_poll_is_told_that_it_lost_and_the_newer_goes_on_a_turn_later() -> None:
    them = crowd(NEWEST)
    older = poll(them)
    up = cast(Any, older.call.up)
    newer = poll(them)
    assert told(older) == (Outcome.SUPERSEDED, 409) and older.call.note == f"for {newer.call.id}"
    assert older.conn.named("answer") == [("answer", 409, LOSER.headers, b"lost", False)]
    assert up.log == ["start", "cancel"] and kept(newer) and them.sent == [older.call]
    them.loop.turns(2)
    assert parked(newer) and them.sent == [older.call, newer.call]
    assert newer.call.waited == 0.0, "a turn of the loop is no wait that a record tells of"
    newer.answered()
    assert newer.call.outcome is Outcome.NEWS
    check_empty(them)


def test_three_newest_in_one_turn_leave_one() -> None:
    them = crowd(NEWEST)
    polls = [poll(them) for _ in range(4)]
    them.loop.turns(3)
    assert [one.call.outcome for one in polls] == [Outcome.SUPERSEDED] * 3 + [None]
    assert them.sent == [polls[0].call, polls[3].call], "those between were never sent"
    polls[3].leave()
    check_empty(them)


def test_an_older_poll_whose_answer_has_begun_is_left_alone() -> None:
    them = crowd(NEWEST)
    older = poll(them)
    them.serve.on_head(older.call, response(200, {}, 100), b"[", False)
    newer = poll(them)
    them.loop.turns(2)
    assert older.call.state is State.RELAYING and parked(newer)
    older.leave()
    them.loop.turns(2)
    third = poll(them)
    assert newer.call.outcome is Outcome.SUPERSEDED
    third.leave()
    check_empty(them)


def test_a_poll_that_waits_for_a_connection_gives_way_too() -> None:
    them = Crowd(hold=replace(crowd(NEWEST).plans["/updates"].hold or hold_plan()), room=0)
    older = poll(them)
    assert parked(older) and older.call.sent_at is None
    newer = poll(them)
    assert told(older) == (Outcome.SUPERSEDED, 409)
    newer.leave()
    check_empty(them)


def test_a_client_that_does_not_read_does_not_keep_the_newer_poll_back() -> None:
    them = crowd(NEWEST)
    older = poll(them)
    older.conn.full = True
    older.conn.scene = cast(Any, older)
    newer = poll(them)
    them.loop.turns(2)
    assert older.call.state is State.RELAYING and parked(newer)
    newer.leave()
    older.leave()
    check_empty(them)


def test_who_came_earlier_but_was_let_in_later_is_the_older() -> None:
    """It stood in line for a place, under a cap that does not count the other."""
    only_b = compile_cap("cap", True, 1, "address", {}, max_waiting=5)
    them = crowd(NEWEST, caps=(only_b,))
    holder = poll(them, "other", "b")
    first = poll(them, "x", "b")
    assert first.spot is not None
    them.loop.turns(1)
    second = poll(them, "x", "a")
    holder.leave()
    them.loop.turns(3)
    assert told(first) == (Outcome.SUPERSEDED, 409) and parked(second)
    second.leave()
    check_empty(them)


def test_who_came_earlier_is_served_when_the_later_one_is_over_as_it_is_let_in() -> None:
    them = crowd(NEWEST, caps=(compile_cap("cap", True, 1, "address", {}, max_waiting=5),))
    holder = poll(them, "other", "b")
    first = poll(them, "x", "b")
    them.loop.turns(1)
    second = poll(them, "x", "a")
    holder.leave(), second.leave()
    them.loop.turns(4)
    assert parked(first)
    first.leave()
    check_empty(them)


# -- the oldest wins --------------------------------------------------------------------------------------------------


def test_the_newcomer_is_told_that_it_lost() -> None:
    them = crowd(OLDEST)
    older = poll(them)
    newer = poll(them)
    them.loop.turns(1)
    assert told(newer) == (Outcome.CONFLICT, 409) and parked(older) and newer.call.waited == 0.0
    older.answered()
    them.loop.turns(1)
    again = poll(them)
    assert parked(again)
    again.leave()
    check_empty(them)


def test_a_client_that_hangs_up_and_asks_again_in_the_same_moment_is_served() -> None:
    for rule in RULES:
        them = crowd(rule)
        older = poll(them)
        older.leave()
        newer = poll(them)
        assert kept(newer) and them.sent == [older.call], "the upstream learns in this turn that the older is gone"
        them.loop.turns(3)
        assert parked(newer) and older.call.outcome is Outcome.CLIENT_GONE
        newer.leave()
        check_empty(them)


@pytest.mark.parametrize("rule", RULES)
def test_a_client_whose_leaving_is_told_a_turn_after_its_next_poll_is_served(rule: str) -> None:
    """A reset is read in one turn of the loop, and the connection is lost in the next."""
    them = crowd(rule)
    older = poll(them)
    them.loop.call_soon(older.leave)
    newer = poll(them)
    them.loop.turns(4)
    assert parked(newer) and newer.call.outcome is None
    third = poll(them)
    them.loop.turns(2)
    assert rule == NEWEST or not parked(third), "it has taken the seat"
    third.leave(), newer.leave()
    check_empty(them)


def test_a_thousand_that_lose_in_one_turn_leave_one_to_be_told_in_the_next() -> None:
    them = crowd(OLDEST)
    older, *others = [poll(them) for _ in range(1000)]
    assert sum(map(kept, others)) == 1
    them.loop.turns(1)
    assert {told(other) for other in others} == {(Outcome.CONFLICT, 409)} and parked(older)
    older.leave()
    check_empty(them)


# -- keys -------------------------------------------------------------------------------------------------------------


def test_polls_of_different_pollers_have_nothing_to_do_with_each_other() -> None:
    for rule in RULES:
        them = crowd(rule)
        assert all(parked(poll(them, sid)) for sid in ("x", "y", None, None, "", ""))


def test_who_counts_as_one_poller_by_default_is_the_caller() -> None:
    them = Crowd(hold=hold_plan(concurrency=OLDEST, loser=LOSER))
    assert parked(poll(them, who="a")) and parked(poll(them, who="b"))
    loser = poll(them, "other", who="a")
    them.loop.turns(1)
    assert told(loser) == (Outcome.CONFLICT, 409)


def test_nobody_ends_the_polls_of_another_consumer_by_naming_his_session() -> None:
    def named(call: Call) -> None:
        call.identity = Identity("main", call.peer, None)

    them = crowd(NEWEST)
    plan = replace(them.plans["/updates"], steps=(named,))
    them.serve.snapshot = replace(them.serve.snapshot, router=Router([(Rule(None, "/updates", ()), plan)]))
    mine, his = poll(them, "x", "a"), poll(them, "x", "b")
    them.loop.turns(2)
    assert parked(mine) and parked(his)
    poll(them, "x", "a")
    assert mine.call.outcome is Outcome.SUPERSEDED and parked(his)


def test_a_long_key_is_kept_as_a_digest() -> None:
    hold = hold_plan(key=lambda asked: asked.arg("sid"))
    short, long, other = "x" * LONGEST, "x" * (LONGEST + 1), "x" * 5000
    keys = [key_of(hold, head("GET", f"/updates?sid={one}")) for one in (short, long, other)]
    assert keys[0] == short and len(set(keys)) == 3 and all(key and len(key) <= LONGEST for key in keys)
    assert key_of(hold, head("GET", "/updates?sid=")) is None and key_of(hold, head("GET", "/updates")) is None
    assert key_of(replace(hold, key=lambda asked: "\ud800" * 300), head("GET", "/")) is not None


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("apart", ["dialect", "upstream", None])
def test_pollers_are_told_apart_by_upstream_and_dialect_but_not_by_route(keyed: bool, apart: str | None) -> None:
    them = crowd(OLDEST)
    plan = them.plans["/updates"]
    assert plan.hold is not None
    if not keyed:
        plan = replace(plan, hold=replace(plan.hold, key=None))
    other = replace(plan, path="/other", route="other")
    if apart == "dialect" and plan.hold is not None:
        other = replace(other, hold=replace(plan.hold, dialect="another"))
    elif apart == "upstream":
        elsewhere = Upstream("elsewhere")
        elsewhere.endpoints = (Endpoint(elsewhere, "10.0.0.2", 80),)
        elsewhere.endpoints[0].idle.extend(them.upstream.endpoints[0].idle)
        other = replace(other, upstream=elsewhere)
    router = Router([(Rule(None, each.path, ()), each) for each in (plan, other)])
    them.serve.snapshot = replace(them.serve.snapshot, router=router)
    first, second = poll(them), them.call("a", "/other?sid=x")
    them.loop.turns(1)
    assert parked(first) and (parked(second) if apart else told(second) == (Outcome.CONFLICT, 409))
    for caller in (first, second):
        caller.leave()
    check_empty(them)

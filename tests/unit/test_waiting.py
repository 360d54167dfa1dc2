"""Lines of calls on a loop whose clock jumps: whose turn it is, when, what a turn costs, and who need not wait."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drain import Drain
from gateway.holds import budget
from gateway.holds.plan import Jitter
from gateway.outcome import Outcome
from gateway.policies.caps import Cap, compile_cap
from gateway.policies.rate_limit import RateLimit, compile_rate_limit
from gateway.state.store import Tokens
from tests.kit.crowd import Crowd
from tests.kit.holds import hold_plan
from tests.kit.jumping import SlowingLoop
from tests.kit.serving import POLLS
from tests.kit.stores import take


def rate(seconds: float, burst: int = 1, name: str = "rate", delay: bool = True, refund: bool = False) -> RateLimit:
    return compile_rate_limit(name, name, (1.0, seconds), burst, "address", {}, refund, delay=delay)


def cap(most: int = 1, waiting: int = 10, polls: bool = True, name: str = "cap") -> Cap:
    return compile_cap(name, polls, most, "route", {}, max_waiting=waiting)


def left(crowd: Crowd, rule: RateLimit, who: str = "a") -> int:
    return crowd.store.level(Tokens(rule.limit, who, rule.rate), crowd.loop.now).left


# -- tokens -----------------------------------------------------------------------------------------------------------


def test_polls_go_one_by_one_as_tokens_come() -> None:
    crowd = Crowd((rate(5.0),))
    polls = [crowd.poll() for _ in range(4)]
    sent = []
    for _ in range(4):
        sent.append(len(crowd.sent))
        crowd.loop.advance(5.01)
    assert sent == [1, 2, 3, 4]
    assert [poll.call for poll in polls] == crowd.sent


def test_a_poll_that_waited_is_forwarded_for_what_is_left_of_its_hold() -> None:
    crowd = Crowd((rate(5.0),))
    for _ in range(3):
        crowd.poll(timeout=25)
    crowd.loop.advance(10.1)
    assert [call.wait_sent for call in crowd.sent] == [25, pytest.approx(20, abs=0.1), pytest.approx(15, abs=0.1)]
    crowd.loop.advance(30)
    assert [round((call.ended or 0) - call.started) for call in crowd.records] == [30] * 3, "none longer for its wait"
    assert [round(call.waited) for call in crowd.sent] == [0, 5, 10]


def test_who_leaves_while_it_waits_did_not_wait_longer_than_it_was_there() -> None:
    crowd = Crowd((rate(5.0),), loop=SlowingLoop())
    crowd.poll()
    crowd.poll(timeout=1e6).leave()
    assert 0 < crowd.records[0].waited < (crowd.records[0].ended or 0) - crowd.records[0].started


def test_who_would_get_its_token_too_late_is_refused_at_once_and_told_when() -> None:
    crowd = Crowd((rate(10.0),))
    polls = [crowd.poll(timeout=25) for _ in range(5)]
    assert [poll.status for poll in polls] == [None, None, None, 429, 429]  # 24 s is the last that is of use
    (_, _, headers, _, _) = polls[3].conn.named("answer")[0]
    assert 30 <= int(dict(headers)[b"Retry-After"]) <= 30 * 1.2 + 2
    assert left(crowd, rate(10.0)) == 0


def test_how_long_a_line_is_is_known_at_any_time() -> None:
    crowd = Crowd((rate(10.0),))
    crowd.poll(), crowd.poll(timeout=60)
    crowd.loop.advance(9.0)
    late = crowd.poll(timeout=13)  # the first in line gets its token in 1 s, this one in 11, of the 12 it has
    assert late.spot is not None
    crowd.loop.advance(11.1)
    assert late.call in crowd.sent


def test_a_token_that_is_given_back_goes_to_the_first_in_line_at_once() -> None:
    crowd = Crowd((rate(50.0, burst=2, refund=True),))
    first = [crowd.poll(timeout=2) for _ in range(2)]
    poll = crowd.poll(timeout=60)
    crowd.loop.advance(2.0)
    first[0].answered(b"", 204)
    crowd.loop.advance(0.1)
    assert poll.call in crowd.sent and not crowd.limits.waiting


def test_tokens_that_come_back_all_at_once_let_polls_out_one_by_one() -> None:
    crowd = Crowd((rate(20.0, burst=3, refund=True),))
    first = [crowd.poll(timeout=2) for _ in range(3)]
    waiting = [crowd.poll(timeout=60) for _ in range(2)]
    crowd.loop.advance(2.0)
    for poll in first:
        poll.answered(b"", 204)
    crowd.loop.turns(5)
    assert len(crowd.sent) == 4
    crowd.loop.advance(0.1)
    assert [poll.call for poll in waiting] == crowd.sent[3:]


def test_who_leaves_the_line_at_its_turn_without_a_token_keeps_nobody_from_it() -> None:
    rules = rate(10.0)
    crowd = Crowd((rules,), (cap(),))
    holder = crowd.poll("other", timeout=50)
    crowd.poll("a", timeout=20).leave()
    first, second = crowd.poll("a", timeout=50), crowd.poll("a", timeout=50)
    crowd.loop.advance(0.1)
    assert first.spot is not None and first.spot.demand.limit == "cap", "the token is there, the place is not"
    first.leave()
    holder.leave()
    crowd.loop.advance(0.1)
    assert second.call in crowd.sent


@pytest.mark.parametrize("kind", ["template", "origin"])
def test_who_hangs_up_in_line_paid_nothing_and_those_behind_move_up(kind: str) -> None:
    crowd = Crowd((rate(5.0),), hold=hold_plan(answer=kind, template=POLLS["template"].template))
    _, first, second = [crowd.poll() for _ in range(3)]
    crowd.loop.advance(2.0)
    first.leave()
    assert first.call.outcome is Outcome.CLIENT_GONE and round(first.call.waited) == 2
    crowd.loop.advance(3.1)
    assert second.call in crowd.sent and first.call not in crowd.sent


@pytest.mark.parametrize("number", [1, 40])
def test_a_line_is_as_fast_as_its_rate(number: int) -> None:
    crowd = Crowd((rate(1 / number),))
    for _ in range(200):
        crowd.poll(timeout=30)
    crowd.loop.advance(4.0)
    assert 4 * number + 1 >= len(crowd.sent) >= 4 * number * 0.98


# -- places -----------------------------------------------------------------------------------------------------------


def test_a_thousand_wait_for_one_place_and_are_served_in_their_order() -> None:
    crowd = Crowd(caps=(cap(waiting=1000),))
    polls = [crowd.poll(str(at), timeout=60) for at in range(1002)]
    assert (polls[1000].spot is None, polls[1001].status) == (False, 429)
    for at in range(1001):
        assert crowd.order == [str(one) for one in range(at + 1)]
        polls[at].answered()
        crowd.loop.turns(2)
    assert not crowd.limits.waiting and crowd.store.size == 0


def test_a_line_of_calls_that_are_all_refused_does_not_stop_the_loop() -> None:
    """Their upstream is full when the place is free: each is told so, in a turn of its own."""
    crowd = Crowd(caps=(cap(waiting=1000),), max_held=1)
    holder = crowd.poll()
    polls = [crowd.poll() for _ in range(100)]
    crowd.upstream.max_held = 0
    holder.leave()
    for _ in range(50):
        crowd.loop.turns(1)
    assert 40 <= sum(one.status == 503 for one in polls) <= 60
    crowd.loop.turns(60)
    assert {one.status for one in polls} == {503} and not crowd.limits.waiting


def test_a_poll_waits_longer_than_an_ordinary_call_may() -> None:
    crowd = Crowd(caps=(cap(), cap(polls=False, name="calls")), response_timeout=3.0)
    holders = crowd.poll(timeout=60), crowd.call()
    poll, call = crowd.poll(timeout=60), crowd.call()
    crowd.loop.advance(3.1)
    assert (holders[1].status, call.status) == (504, 429), "both had three seconds"
    crowd.loop.advance(20.0)
    holders[0].leave()
    crowd.loop.turns(2)
    assert poll.call in crowd.sent


def test_who_waits_for_a_place_keeps_no_token_and_who_waits_for_a_token_no_place() -> None:
    rules = rate(10.0)
    crowd = Crowd((rules,), (cap(2),))
    crowd.poll("a", timeout=60)
    token = crowd.poll("a", timeout=60)
    assert token.spot is not None and token.spot.demand.limit == "rate"
    assert crowd.store.held("cap", "updates") == 1
    crowd.poll("b", timeout=60)
    place = crowd.poll("c", timeout=60)
    assert place.spot is not None and place.spot.demand.limit == "cap"
    assert left(crowd, rules, "c") == 1
    crowd.loop.advance(10.1)  # now there is a token, but no place: it goes behind who waits for that already
    assert token.spot is not None and token.spot.demand.limit == "cap" and left(crowd, rules) == 1
    for _ in range(2):
        crowd.callers[0 if len(crowd.sent) == 2 else 2].answered()
        crowd.loop.turns(3)
    assert crowd.order == ["a", "b", "c", "a"]


@pytest.mark.parametrize("other", [rate(60.0, delay=False), cap(1, waiting=0, name="hard")])
def test_who_is_refused_anyway_takes_up_nobodys_spot(other: Any) -> None:
    rates = (other,) if isinstance(other, RateLimit) else ()
    caps = (cap(2, waiting=2), *(() if rates else (other,)))
    crowd = Crowd(rates, caps)
    crowd.poll("a", timeout=60)
    if rates:
        crowd.poll("b", timeout=60)
        assert crowd.poll("c", timeout=60).spot is not None
    else:
        wanted = caps[0].demand(crowd.poll("b").call)
        take(crowd.store, [wanted], crowd.callers[0].call, crowd.loop.now)  # type: ignore[list-item]
    refused = [crowd.poll("a", timeout=60) for _ in range(5)]
    assert {one.status for one in refused} == {429}
    assert crowd.limits.waiting == (1 if rates else 0)


# -- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "cause", "status", "outcome"),
    [
        ("template", None, 200, Outcome.BLANK),
        ("template", "token", 200, Outcome.EXPIRED),
        ("template", "drain", 200, Outcome.DRAINED),
        ("origin", None, 429, Outcome.CAPPED),
        ("origin", "token", 401, Outcome.UNAUTHENTICATED),
        ("origin", "drain", 503, Outcome.DRAINED),
        ("never", None, 429, Outcome.CAPPED),
        ("never", "drain", 503, Outcome.DRAINED),
    ],
)  # fmt: skip
def test_how_a_wait_ends_that_was_in_vain(kind: str, cause: str | None, status: int | None, outcome: Outcome) -> None:
    crowd = Crowd(caps=(cap(),), hold=POLLS[kind])
    crowd.poll(timeout=60)
    poll = crowd.poll(timeout=25)
    poll.call.clamped_by = cause if cause != "drain" else None
    if cause == "drain":  # its own alone: the holder's instant is drawn by chance, and may come before
        crowd.serve.on_drain(poll.call, Drain(crowd.loop.now, crowd.loop.now + 10.0))
    crowd.loop.advance(23.9 if cause != "drain" else 10.1)
    if cause != "drain":
        assert poll.status is None, "it waits for as long as going on is of use"
        crowd.loop.advance(0.2)
    assert (poll.status, poll.call.outcome) == (status, outcome)
    assert poll.call.endpoint is None and crowd.order == ["a"]


def test_a_poll_whose_turn_comes_when_the_drain_leaves_it_nothing_pays_nothing() -> None:
    rules = rate(4.0)
    crowd = Crowd((rules,))
    _, poll = crowd.poll(timeout=60), crowd.poll(timeout=60)
    crowd.drain(6.0)
    crowd.loop.advance(7.0)
    assert poll.call.outcome is Outcome.DRAINED and len(crowd.sent) == 1
    assert left(crowd, rules) == 1


@pytest.mark.parametrize("kind", ["template", "origin"])
def test_an_operator_ends_who_waits_where_we_may_say_no_news(kind: str) -> None:
    crowd = Crowd(caps=(cap(),), hold=POLLS[kind])
    crowd.poll(timeout=60)
    poll = crowd.poll(timeout=60)
    poll.serve.on_evict(poll.call)
    assert poll.call.outcome is (Outcome.EVICTED if kind == "template" else None)
    assert crowd.limits.waiting == (kind != "template")


def test_a_line_keeps_no_task_once_it_is_empty() -> None:
    crowd = Crowd((rate(5.0),), (cap(),))
    polls = [crowd.poll(who, timeout=60) for who in "aabbc"]
    assert crowd.limits.waiting == 2
    for poll in polls:
        poll.leave()
    crowd.loop.turns(3)
    crowd.loop.close()  # pytest would tell of a task that was still there
    assert not crowd.limits.waiting and not crowd.loop.errors


@given(
    granted=st.floats(1.0, 300.0), margin=st.floats(0.0, 30.0), ratio=st.floats(0.0, 0.5), span=st.floats(0.0, 10.0),
    answer=st.sampled_from(["template", "origin"]), rewrite=st.booleans(),
)  # fmt: skip
def test_until_its_last_start_a_poll_can_be_forwarded_and_not_after(
    granted: float, margin: float, ratio: float, span: float, answer: str, rewrite: bool
) -> None:
    plan = hold_plan(answer=answer, rewrite=rewrite, margin=margin, max=300.0, jitter=Jitter(ratio, span))
    grant = budget.grant(1000.0, granted, plan)
    last = budget.last_start(plan, grant.hold, grant.deadline)
    assert budget.wait_left(plan, grant.hold, grant.deadline, last - 1e-3) is not None
    assert budget.wait_left(plan, grant.hold, grant.deadline, last + 1.0) is None

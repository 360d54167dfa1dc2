"""The start as a line: who is let in when, in which order, who need not wait, when it is over. On a loop whose clock
jumps; the counts are those of a rate, whatever the machine.
"""

from __future__ import annotations

import pytest

from gateway.drain import Drain
from gateway.holds.plan import HoldPlan
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.ramp import Early, Ramp
from tests.kit.crowd import Caller, Crowd
from tests.kit.serving import POLLS


def starting(rate: float = 10.0, **changes: object) -> Crowd:
    """A crowd at a gateway that was just started and lets `rate` polls a second in."""
    crowd = Crowd(**changes)  # type: ignore[arg-type]

    def over() -> None:
        crowd.serve.ramp = None

    crowd.serve.ramp = Ramp(crowd.loop, crowd.timers, rate, 1.0, over)
    return crowd


def waiting(crowd: Crowd) -> list[Caller]:
    return [one for one in crowd.callers if isinstance(one.call.up, Early)]


def test_a_herd_is_let_in_at_the_rate_first_come_first_served() -> None:
    crowd = starting()
    for number in range(35):
        crowd.poll(f"p{number}")
    for second in (1, 2, 3):
        crowd.loop.advance(1.0)
        assert second * 10 <= len(crowd.sent) <= second * 10 + 2
    crowd.loop.advance(1.0)
    assert crowd.order == [f"p{number}" for number in range(35)]


def test_thousands_a_second_are_let_in_several_at_once() -> None:
    crowd = starting(5000.0)
    for number in range(9000):
        crowd.poll(f"p{number}")
    crowd.loop.advance(1.0)
    assert 5000 <= len(crowd.sent) <= 5200
    crowd.loop.advance(1.0)
    assert crowd.order == [f"p{number}" for number in range(9000)]


def test_ordinary_calls_do_not_wait() -> None:
    crowd = starting()
    for _ in range(50):
        crowd.poll()
    call = crowd.call("b")
    assert call.call in crowd.sent


def test_who_comes_alone_does_not_wait() -> None:
    crowd = starting()
    for _ in range(5):
        crowd.loop.advance(0.5)
        crowd.poll()
        crowd.loop.turns(3)
        assert not waiting(crowd)
    assert len(crowd.sent) == 5 and all(call.waited < 0.001 for call in crowd.sent)


def test_the_wait_is_out_of_the_polls_own_hold_and_is_in_its_record() -> None:
    crowd = starting(1.0)
    for _ in range(4):
        crowd.poll(timeout=25)
    crowd.loop.advance(5.0)
    assert [call.wait_sent for call in crowd.sent] == [25, *(pytest.approx(25 - n, abs=0.1) for n in (1, 2, 3))]
    assert [call.waited for call in crowd.sent] == [pytest.approx(n, abs=0.1) for n in range(4)]
    crowd.loop.advance(30.0)
    assert [round((call.ended or 0) - call.started) for call in crowd.records] == [30] * 4, "none longer for its wait"


def test_who_hangs_up_leaves_the_line_and_costs_those_behind_nothing() -> None:
    crowd = starting(1.0)
    polls = [crowd.poll(f"p{number}") for number in range(5)]
    crowd.loop.advance(0.1)
    for gone in polls[1:4]:
        gone.leave()
    crowd.loop.advance(1.0)
    assert crowd.order == ["p0", "p4"]
    assert [call.outcome for call in crowd.records] == [Outcome.CLIENT_GONE] * 3


ENDS = [("template", Outcome.BLANK, 200), ("origin", Outcome.OVERLOADED, 503)]


@pytest.mark.parametrize(("kind", "outcome", "status"), ENDS, ids=[kind for kind, _, _ in ENDS])
def test_a_hold_that_is_over_before_its_turn_ends_as_its_policy_allows(
    kind: str, outcome: Outcome, status: int
) -> None:
    crowd = starting(0.1, hold=POLLS[kind])
    first, second = crowd.poll(timeout=5), crowd.poll(timeout=5)
    crowd.loop.advance(9.0)
    assert (second.call.outcome, second.status) == (outcome, status)
    assert second.call not in crowd.sent and first.call in crowd.sent


@pytest.mark.parametrize("kind", ["template", "origin"])
def test_a_drain_ends_the_line_within_its_window(kind: str) -> None:
    hold: HoldPlan = POLLS[kind]
    crowd = starting(0.1, hold=hold)
    for number in range(20):
        crowd.poll(f"p{number}")
    crowd.loop.advance(0.5)
    assert len(waiting(crowd)) == 19
    drain = crowd.serve.draining = Drain(crowd.loop.now, crowd.loop.now + 4.0)
    for caller in crowd.callers:
        crowd.serve.on_drain(caller.call, drain)
    crowd.loop.advance(4.1)
    assert not waiting(crowd)
    assert {one.call.outcome for one in crowd.callers[1:]} <= {Outcome.BLANK, Outcome.DRAINED}


def test_who_waits_holds_no_place_and_asks_for_it_at_his_turn() -> None:
    crowd = starting(1.0, caps=(compile_cap("cap", True, 1, "route", {}),))
    crowd.poll("a")
    crowd.poll("b")
    crowd.loop.advance(0.1)
    assert crowd.store.held("cap", "updates") == 1 and not crowd.callers[1].over
    crowd.loop.advance(1.0)
    assert crowd.callers[1].status == 429, "the only place is taken"


def test_it_is_over_when_nobody_had_to_wait_for_half_a_minute() -> None:
    crowd = starting()
    for _ in range(100):
        crowd.poll()
    crowd.loop.advance(35.0)
    assert crowd.serve.ramp is not None, "the herd took ten seconds, and it may not be all"
    crowd.poll()
    crowd.loop.advance(6.0)
    assert crowd.serve.ramp is None
    before = len(crowd.sent)
    for _ in range(50):
        crowd.poll()
    assert len(crowd.sent) == before + 50


def test_it_is_over_when_nobody_came() -> None:
    crowd = starting()
    crowd.loop.advance(31.0)
    assert crowd.serve.ramp is None and not crowd.loop.errors


def test_a_bug_in_one_call_stops_nobody_behind_it() -> None:
    crowd = starting(1.0)
    polls = [crowd.poll(f"p{number}") for number in range(3)]
    polls[1].call.plan = None
    crowd.loop.advance(3.0)
    assert crowd.order == ["p0", "p2"]

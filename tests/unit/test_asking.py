"""A call that waits for the word of a store elsewhere: it goes on once that is said, and gives back once what it was
lent for nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.asking import Asking
from gateway.outcome import Outcome
from gateway.policies.caps import compile_cap
from gateway.policies.rate_limit import compile_rate_limit
from tests.kit.authority import Authority
from tests.kit.crowd import Caller, Crowd
from tests.kit.jumping import JumpingLoop
from tests.kit.remote import Front

RATE = compile_rate_limit("rate", "rate", (1.0, 1e6), 5, "address", {}, False)
CAP = compile_cap("cap", True, 1, "route", {}, max_waiting=5)
KEY = ("cap", "updates")


class Asked:
    """Two gateways; every answer takes a tenth of a second there and as long back."""

    def __init__(self, **changes: Any) -> None:
        self.loop = JumpingLoop()
        self.authority = Authority(self.loop, lambda: 0.1, lambda: 0.1)
        self.one, self.other = (
            Crowd((RATE,), (CAP,), loop=self.loop, store=Front(self.authority, name), **changes) for name in "ab"
        )

    def used(self) -> int:
        full_at = self.authority.full_at.get(("rate", "a"), self.loop.now)
        return round((full_at - self.loop.now) / RATE.rate.interval)


def asking(caller: Caller) -> bool:
    return isinstance(caller.call.up, Asking)


@pytest.mark.parametrize("after", [0.0, 0.05, 0.15, 0.2])
def test_who_hangs_up_while_the_store_is_asked_has_paid_nothing_and_holds_nothing(after: float) -> None:
    world = Asked()
    caller = world.one.poll()
    assert asking(caller)
    if after:
        world.loop.advance(after - 0.001)
    caller.leave()
    world.loop.advance(1.0)
    assert [call.outcome for call in world.one.records] == [Outcome.CLIENT_GONE]
    assert (world.used(), world.authority.holders.get(KEY, []), caller.call.leases) == (0, [], ())


def test_a_turn_that_comes_with_the_answer_takes_nothing_from_a_call_that_goes_on() -> None:
    world = Asked()
    caller = world.one.poll()
    while not (isinstance(caller.call.up, Asking) and caller.call.up.answer.done()):
        world.loop._run_once()  # type: ignore[attr-defined]
    caller.serve.on_turn(caller.call)
    world.loop.advance(0.5)
    assert world.one.order == ["a"] and len(world.authority.holders[KEY]) == 1 and len(caller.call.leases) == 2


def test_a_place_that_came_free_before_the_call_knew_it_stood_in_line_is_taken() -> None:
    world = Asked()
    first = world.one.poll()
    world.loop.advance(0.5)
    second = world.other.poll("b")
    world.loop.advance(0.05)
    first.answered()
    world.loop.advance(1.0)
    assert world.other.order == ["b"] and not asking(second)


def test_a_hold_that_is_over_before_the_store_has_answered_ends_and_has_paid_nothing() -> None:
    world = Asked()
    caller = world.one.poll(timeout=0.1)
    world.one.drain(0.1)
    world.loop.advance(2.0)
    assert caller.over and not world.one.sent and world.used() == 0 and not world.authority.holders[KEY]
    assert len(world.one.records) == 1

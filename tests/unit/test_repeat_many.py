"""Many calls that are lost, answered and left in any order: none is sent more often than it may be, what is sent again
stays within the budget, and in the end nothing is borrowed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.call import State
from gateway.holds.replay import REPLAY
from gateway.shapes import Retry
from gateway.upstream import failure
from gateway.upstream.budget import FLOOR
from tests.kit.crowd import Caller, Crowd
from tests.kit.serving import POLLS, Up

ATTEMPTS = 3
SAFE = Retry(attempts=ATTEMPTS, methods=frozenset({"GET"}), status=frozenset({503}))
MOVES = ("poll", "call", "lose", "busy", "answer", "leave", "wait", "long")
Moves = list[tuple[str, int]]


class Losing(Crowd):
    def __init__(self, replay: str) -> None:
        super().__init__(hold=replace(POLLS["template"], replay=replay), retry=SAFE, room=200)

    def under_way(self) -> list[Caller]:
        """Those that an endpoint has now."""
        return [each for each in self.callers if isinstance(cast(Any, each.call.up), Up)]

    def move(self, name: str, which: int) -> None:
        if name in ("poll", "call"):
            self.poll() if name == "poll" else self.call()
        elif name in ("wait", "long"):
            self.loop.advance(0.04 if name == "wait" else 5.0)
        elif name == "leave" and self.callers:
            self.callers[which % len(self.callers)].leave()
        elif asked := self.under_way():
            caller = asked[which % len(asked)]
            if name == "lose":
                caller.call.up = None
                caller.serve.on_failure(caller.call, failure.RESET, "closed")
            else:
                caller.answered(status=503 if name == "busy" else 200)


@settings(max_examples=60)
@given(st.sampled_from(list(REPLAY)), st.lists(st.tuples(st.sampled_from(MOVES), st.integers(0, 1000)), max_size=60))
def test_nothing_is_sent_more_often_than_it_may_be(replay: str, moves: Moves) -> None:
    crowd, again = Losing(replay), REPLAY[replay].again
    for name, which in moves:
        crowd.move(name, which)
        assert crowd.upstream.held == len(crowd.under_way()), "who pauses takes nobody's place"
    for caller in crowd.callers:
        times = crowd.sent.count(caller.call)
        if caller.call.hold is None:
            assert times <= ATTEMPTS  # on a route without polls
        else:
            assert times <= (2 if again else 1)
    taken = crowd.upstream.budget.taken
    assert len(crowd.sent) <= len(crowd.callers) + taken
    assert taken <= SAFE.budget * 2 * len(crowd.callers) + FLOOR * (1 + (crowd.loop.now - 1024.0) / 10.0)
    for caller in crowd.callers:
        caller.leave()
    assert crowd.upstream.held == 0 and len(crowd.records) == len(crowd.callers)
    assert all(caller.call.state is State.SETTLED and not caller.call.leases for caller in crowd.callers)
    assert not crowd.loop.errors

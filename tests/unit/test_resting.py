"""Connections that rest: in which order they are used and given up, by one clock for all of an endpoint."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER, TICK, Timers
from gateway.upstream.resting import Resting
from tests.kit.serving import HandLoop


class Connection:
    """One that began to rest now and may rest for so long."""

    def __init__(self, place: Place, rests: float) -> None:
        self.place, self.idle_since, self.keepalive = place, place.loop.time(), rests
        self.closed: float | None = None
        place.resting.append(cast(Any, self))
        place.resting.until(self.idle_since + rests, place.timers)

    def close(self) -> None:
        self.closed = self.place.loop.time()


class Place:
    def __init__(self) -> None:
        self.loop = HandLoop()
        self.timers, self.resting = Timers(cast(Any, self.loop)), Resting()

    def rest(self, seconds: float = 4.0) -> Connection:
        return Connection(self, seconds)


def test_who_rests_longest_is_closed_first_and_the_others_in_their_time() -> None:
    place = Place()
    first = place.rest()
    place.loop.advance(1.0)
    second = place.rest()
    place.loop.advance(3.1)
    assert first.closed is not None and second.closed is None and list(place.resting) == [second]
    place.loop.advance(1.0)
    assert second.closed is not None and not place.resting


def test_the_clock_stands_still_once_nobody_rests() -> None:
    place = Place()
    place.rest()
    place.loop.advance(5.0)
    assert (place.resting.due, place.resting.filed) == (NEVER, NEVER)
    late = place.rest()
    place.loop.advance(4.1)
    assert late.closed is not None, "and goes on with the next"


@pytest.mark.parametrize("taken", [True, False])
def test_one_that_was_taken_meanwhile_is_not_closed(taken: bool) -> None:
    place = Place()
    first = place.rest()
    if taken:
        assert place.resting.pop() is cast(Any, first)
    place.loop.advance(5.0)
    assert (first.closed is None) is taken


def test_a_shorter_time_makes_the_clock_of_all_earlier() -> None:
    place = Place()
    place.rest(60.0)
    place.resting.popleft()
    short = place.rest(2.0)
    place.loop.advance(2.1)
    assert short.closed is not None


def test_what_rests_behind_one_that_may_rest_longer_goes_with_it() -> None:
    place = Place()
    long, short = place.rest(10.0), place.rest(2.0)
    place.loop.advance(5.0)
    assert long.closed is None and short.closed is None
    place.loop.advance(5.1)
    assert long.closed is not None and short.closed is not None


@given(st.lists(st.sampled_from(["rest", "pop", "popleft", "later"]), max_size=40))
def test_every_connection_of_one_time_is_taken_once_or_closed_when_that_is_over(moves: list[str]) -> None:
    place, model, taken, all_made = Place(), list[Any](), list[Any](), list[Any]()
    for move in moves:
        if move == "rest":
            all_made.append(place.rest())
            model.append(all_made[-1])
        elif move == "later":
            place.loop.advance(1.3)
            model = [each for each in model if each.closed is None]
        elif model:
            at = -1 if move == "pop" else 0
            taken.append(getattr(place.resting, move)())
            assert taken[-1] is model.pop(at)
        assert list(place.resting) == model
    place.loop.advance(10.0)
    for each in all_made:
        rested = None if each.closed is None else each.closed - each.idle_since
        assert (rested is None) is (each in taken)
        assert rested is None or each.keepalive <= rested <= each.keepalive + 2 * TICK
    with pytest.raises(KeyError):
        place.resting.popleft()

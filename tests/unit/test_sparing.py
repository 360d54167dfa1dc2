"""What is said once a second: at once the first time, never twice within a second, and no occurrence is lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gateway.sparing import EVERY, Sparing
from tests.kit.jumping import JumpingLoop

STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.1, 0.5, 1.0, 7.0])), max_size=60)


class Told:
    """Somebody who is told sparingly; `lines` are when, what and how often."""

    def __init__(self) -> None:
        self.loop = JumpingLoop()
        self.lines: list[tuple[float, str, int]] = []
        self.tell = Sparing[str](self.loop, lambda topic, times: self.lines.append((self.loop.now, topic, times)))

    @property
    def said(self) -> list[tuple[str, int]]:
        return [line[1:] for line in self.lines]


def test_the_first_is_said_at_once_and_the_rest_together() -> None:
    told = Told()
    for _ in range(1000):
        told.tell("full")
    assert told.said == [("full", 1)]
    told.loop.advance(EVERY - 0.1)
    assert told.said == [("full", 1)]
    told.loop.advance(0.2)
    assert told.said == [("full", 1), ("full", 999)]


def test_what_came_most_often_is_said_first_and_nothing_is_forgotten() -> None:
    told = Told()
    for topic in "abbcccc":
        told.tell(topic)
    told.loop.advance(5 * EVERY)
    assert told.said == [("a", 1), ("c", 4), ("b", 2)]


def test_after_a_quiet_second_it_is_said_at_once_again() -> None:
    told = Told()
    told.tell("full")
    told.loop.advance(2.5 * EVERY)
    told.tell("full")
    assert told.said == [("full", 1), ("full", 1)]


@given(STEPS)
def test_never_twice_a_second_and_every_occurrence_is_counted(steps: list[tuple[str, float]]) -> None:
    told = Told()
    for topic, after in steps:
        told.tell(topic)
        told.loop.advance(after)
    told.loop.advance(10 * EVERY)
    times = [at for at, _, _ in told.lines]
    assert all(later - earlier >= EVERY for earlier, later in pairwise(times))
    for topic in "abc":
        assert sum(number for _, name, number in told.lines if name == topic) == sum(one == topic for one, _ in steps)

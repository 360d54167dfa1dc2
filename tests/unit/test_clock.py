"""Timers on a loop that is cranked by hand: what is armed fires once, in order, never early, and nothing is kept of
what was cancelled.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER, TICK, Timers
from tests.kit.serving import HandLoop


class Entry:
    """Writes down when it was due; `then` is what else it does."""

    def __init__(self, name: str = "", log: list[tuple[str, float]] | None = None) -> None:
        self.due = NEVER
        self.filed = NEVER
        self.name = name
        self.log: list[tuple[str, float]] = [] if log is None else log
        self.then: Callable[[float], None] = lambda now: None

    def on_due(self, now: float) -> None:
        self.log.append((self.name, now))
        self.then(now)


def timers() -> tuple[HandLoop, Timers]:
    loop = HandLoop()
    loop.now = 1000.0
    return loop, Timers(cast(asyncio.AbstractEventLoop, loop))


@pytest.mark.parametrize("delay", [0.0, 0.001, TICK, 0.3, 1.0, 25.0, 3600.0])
def test_an_entry_fires_once_at_its_time_or_a_tick_later(delay: float) -> None:
    loop, clock = timers()
    entry = Entry()
    clock.arm(entry, 1000.0 + delay)
    loop.advance(delay + 2 * TICK)
    assert len(entry.log) == 1
    assert delay - 1e-9 <= entry.log[0][1] - 1000.0 <= delay + TICK + 1e-9
    assert (entry.due, entry.filed) == (NEVER, NEVER)
    loop.advance(1e5)
    assert len(entry.log) == 1


def test_entries_fire_in_the_order_of_their_ticks() -> None:
    loop, clock = timers()
    log: list[tuple[str, float]] = []
    for name, due in [("c", 3.0), ("a", 1.0), ("d", 4.0), ("b", 2.0)]:
        clock.arm(Entry(name, log), 1000.0 + due)
    loop.advance(10.0)
    assert [name for name, _ in log] == ["a", "b", "c", "d"]


def test_of_a_cancelled_entry_no_reference_is_kept() -> None:
    _, clock = timers()
    entry = Entry()
    clock.arm(entry, 1045.0)
    clock.cancel(entry)
    assert (entry.due, entry.filed) == (NEVER, NEVER)
    kept = weakref.ref(entry)
    del entry
    gc.collect()
    assert kept() is None


def test_of_an_entry_that_fired_no_reference_is_kept() -> None:
    loop, clock = timers()
    entry = Entry()
    clock.arm(entry, 1001.0)
    loop.advance(2.0)
    kept = weakref.ref(entry)
    del entry
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(
    ("first", "second", "fires"),
    [(5.0, 9.0, 9.0), (9.0, 5.0, 5.0), (5.0, NEVER, None), (NEVER, 5.0, 5.0), (5.0, 5.001, 5.001), (5.001, 5.0, 5.0),
    (5.0, 5.0, 5.0)],
)  # fmt: skip
def test_arming_again_replaces_what_was_armed(first: float, second: float, fires: float | None) -> None:
    loop, clock = timers()
    entry = Entry()
    clock.arm(entry, 1000.0 + first)
    clock.arm(entry, 1000.0 + second)
    loop.advance(100.0)
    assert len(entry.log) == (fires is not None)
    if fires is not None:
        assert fires <= entry.log[0][1] - 1000.0 <= fires + TICK + 1e-9


def test_an_entry_moved_later_again_and_again_fires_when_that_ends() -> None:
    loop, clock = timers()
    entry = Entry()
    for _ in range(200):
        clock.arm(entry, loop.now + 5.0)
        loop.advance(1.0)
    assert not entry.log
    loop.advance(5.0)
    assert len(entry.log) == 1


def test_an_entry_that_stands_still_and_is_armed_later_fires_then() -> None:
    """Armed to NEVER it stays in its bucket; the next arming must not be lost when that bucket comes up."""
    loop, clock = timers()
    entry = Entry()
    clock.arm(entry, 1005.0)
    clock.arm(entry, NEVER)
    loop.advance(3.0)
    clock.arm(entry, 1020.0)
    loop.advance(10.0)
    assert not entry.log
    loop.advance(8.0)
    assert len(entry.log) == 1


def test_a_bug_in_one_entry_is_reported_and_loses_no_other() -> None:
    loop, clock = timers()
    log: list[tuple[str, float]] = []
    entries = [Entry(str(number), log) for number in range(5)]

    def bug(now: float) -> None:
        raise ZeroDivisionError

    entries[2].then = bug
    for entry in entries:
        clock.arm(entry, 1001.0)
    later = Entry("later", log)
    clock.arm(later, 1002.0)
    loop.advance(5.0)
    assert sorted(name for name, _ in log) == ["0", "1", "2", "3", "4", "later"]
    assert [type(error) for error in loop.errors] == [ZeroDivisionError]


@pytest.mark.parametrize("delay", [0.0, 0.01, TICK, 1.0])
def test_an_entry_may_arm_itself_when_it_is_due(delay: float) -> None:
    loop, clock = timers()
    entry = Entry()
    entry.then = lambda now: clock.arm(entry, now + delay) if len(entry.log) < 4 else None
    clock.arm(entry, 1000.0)
    loop.advance(10.0)
    assert len(entry.log) == 4
    assert all(b - a >= delay for (_, a), (_, b) in zip(entry.log, entry.log[1:], strict=False))


@pytest.mark.parametrize("what", ["cancel", "later", "never", "now", "earlier"])
def test_an_entry_may_change_another_of_the_same_tick(what: str) -> None:
    for turn in range(8):  # which of two comes first in a bucket is chance: try several
        loop, clock = timers()
        pair = [Entry(str(turn)), Entry("other")]

        def change(now: float, one: Entry, clock: Timers = clock) -> None:
            if one.log:
                return
            {"cancel": lambda: clock.cancel(one), "later": lambda: clock.arm(one, now + 5.0),
            "never": lambda: clock.arm(one, NEVER),
             "now": lambda: clock.arm(one, now), "earlier": lambda: clock.arm(one, now - 3.0)}[what]()  # fmt: skip

        pair[0].then = lambda now, pair=pair, change=change: change(now, pair[1])  # type: ignore[misc]
        pair[1].then = lambda now, pair=pair, change=change: change(now, pair[0])  # type: ignore[misc]
        for entry in pair:
            clock.arm(entry, 1001.0)
        loop.advance(30.0)
        counts = sorted(len(entry.log) for entry in pair)
        assert counts == ([0, 1] if what in ("cancel", "never") else [1, 1])
        assert all((entry.due, entry.filed) == (NEVER, NEVER) for entry in pair)


def test_one_handle_of_the_loop_serves_all() -> None:
    loop, clock = timers()
    entries = [Entry() for _ in range(1000)]
    for number, entry in enumerate(entries):
        clock.arm(entry, 1100.0 - number * 0.01)
    assert sum(not handle.cancelled for handle in loop.handles) == 1
    loop.advance(200.0)
    assert all(len(entry.log) == 1 for entry in entries)


MOVES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["arm", "cancel", "never", "wait"]), st.floats(0.0, 3.0)), max_size=40
)


@given(MOVES)
def test_any_use_fires_exactly_what_is_due(moves: list[tuple[int, str, float]]) -> None:
    loop, clock = timers()
    entries = [Entry() for _ in range(5)]
    wanted: dict[int, float] = {}
    for which, what, amount in moves:
        entry = entries[which]
        if what == "arm":
            clock.arm(entry, loop.now + amount)
            wanted[which] = loop.now + amount
        elif what == "wait":
            loop.advance(amount)
        else:
            clock.cancel(entry) if what == "cancel" else clock.arm(entry, NEVER)
            wanted.pop(which, None)
        for number, due in list(wanted.items()):
            log = entries[number].log
            if log and log[-1][1] >= due:
                del wanted[number]
                assert log[-1][1] <= due + TICK + 1e-6
            else:
                assert due > loop.now - TICK - 1e-6, "it should have fired"
                assert entries[number].due == due
    loop.advance(10.0)
    fired = {number for number, due in wanted.items() if entries[number].log and entries[number].log[-1][1] >= due}
    assert fired == wanted.keys()

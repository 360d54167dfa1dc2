"""A second poll of one poller where the answer of the first has begun without news (`early_headers`)."""

from __future__ import annotations

import pytest

from gateway.call import State
from gateway.holds.budget import LONGEST
from gateway.holds.plan import UNBOUNDED
from gateway.outcome import Outcome
from tests.kit.pollers import FATAL, NEWEST, OLDEST, begun, check_empty, kept, parked, poll, told


def test_an_older_poll_that_is_held_on_is_broken_off_for_the_newer() -> None:
    them, older = begun(NEWEST)
    newer = poll(them)
    assert older.call.outcome is Outcome.SUPERSEDED and older.call.note == f"for {newer.call.id}"
    assert ("abort", True) in older.conn.log, "nobody takes half an answer for a whole one"
    them.loop.turns(2)
    assert parked(newer)
    newer.leave()
    check_empty(them)


def test_an_older_poll_through_which_news_passes_is_left_alone() -> None:
    them, older = begun(NEWEST, b"x" * 5000)
    newer = poll(them)
    them.loop.turns(2)
    assert older.call.state is State.RELAYING and parked(newer)
    older.leave(), newer.leave()
    check_empty(them)


def test_a_watch_without_an_end_gives_way_however_much_has_passed() -> None:
    them, older = begun(NEWEST, b"x" * 5000, ask=(), rewrite=False, absent=UNBOUNDED, max=LONGEST)
    newer = poll(them)
    assert older.call.outcome is Outcome.SUPERSEDED
    newer.leave()
    check_empty(them)


@pytest.mark.parametrize("rule", [OLDEST, FATAL])
def test_where_the_older_stays_one_that_is_held_on_stays_too(rule: str) -> None:
    them, older = begun(rule)
    newer = poll(them)
    them.loop.turns(3)
    assert older.call.held_on and (told(newer) == (Outcome.CONFLICT, 409) if rule == OLDEST else kept(newer))
    newer.leave(), older.leave()
    check_empty(them)

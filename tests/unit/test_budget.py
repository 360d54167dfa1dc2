"""How much may be sent again, as arithmetic: a share of the calls there were, a floor where there are few, nothing
saved up for later, and an outage of any length never multiplied.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.budget import FLOOR, WINDOW, Budget


def takes(budget: Budget, share: float, calls: int, held: int, now: float, wishes: int) -> int:
    """How many of so many wishes at one instant are granted."""
    return sum(budget.take(share, calls, held, now) for _ in range(wishes))


def begun() -> Budget:
    budget = Budget()
    budget.begin(0.0)
    return budget


@pytest.mark.parametrize(
    ("share", "calls", "held", "granted"),
    [
        (0.2, 0, 0, 10),  # the floor
        (0.2, 1000, 0, 210),  # all of them came at this very instant
        (0.2, 0, 1000, 210),  # polls count for as long as they are held
        (0.2, 1000, 1000, 210),  # but not twice
        (1.0, 1000, 0, 1000),  # (nobody wished for more)
        (0.0, 1000, 1000, 0),  # no budget, no floor
    ],
)
def test_a_share_of_the_calls_and_a_floor(share: float, calls: int, held: int, granted: int) -> None:
    assert takes(begun(), share, calls, held, 0.0, 1000) == granted


def test_what_was_sent_again_is_paid_for_until_it_has_faded() -> None:
    budget = begun()
    assert takes(budget, 0.2, 0, 100, 0.0, 1000) == 30
    assert takes(budget, 0.2, 0, 100, 0.1, 1000) == 0
    assert takes(budget, 0.2, 0, 100, WINDOW, 1000) == pytest.approx(30 * 0.63, abs=1)
    assert takes(budget, 0.2, 0, 100, 40 * WINDOW, 1000) in (29, 30)


def test_a_quiet_day_saves_nothing_up() -> None:
    """A million calls over a day are a hundred in a window, however long nobody asked."""
    assert takes(begun(), 0.2, 1_000_000, 0, 86_400.0, 100_000) == pytest.approx(0.2 * 115 + FLOOR, abs=1.5)


def test_calls_before_anybody_looked_are_not_taken_to_be_of_this_second() -> None:
    assert takes(Budget(), 0.2, 1_000_000, 0, 86_400.0, 1000) == FLOOR


def test_taken_and_denied_are_counted_for_good() -> None:
    budget = begun()
    assert takes(budget, 0.0, 5, 5, 1.0, 3) == 0 and takes(budget, 0.2, 5, 5, 2.0, 3) == 3
    assert (budget.taken, budget.denied) == (3, 3)


STEPS = st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 300), st.integers(0, 400)), max_size=30)


@given(st.floats(0.01, 1.0), STEPS)
def test_over_any_time_never_more_than_a_share_and_the_floor(share: float, steps: list[tuple[float, int, int]]) -> None:
    """Whatever comes when: of all calls so far at most a share was sent again, and the floor for each window."""
    budget, now, calls = begun(), 0.0, 0
    for pause, fresh, wishes in steps:
        now, calls = now + pause, calls + fresh
        takes(budget, share, calls, 0, now, wishes)
        assert budget.taken <= share * calls + FLOOR * (1.0 + now / WINDOW) + 1e-6


@given(st.floats(0.01, 1.0), st.integers(0, 5000), st.floats(0.0, 100.0))
def test_an_outage_of_all_that_is_held_sends_no_more_than_the_share_again(share: float, held: int, now: float) -> None:
    """Polls that die one after another are fewer each time."""
    budget, left = begun(), held
    while left:
        budget.take(share, 0, left, now)
        left -= 1
    assert budget.taken <= share * held + FLOOR

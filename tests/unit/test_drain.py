"""The end of a process as arithmetic: every poll gets an instant inside the window, and clients come back spread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.drain import SPREAD, Drain

SECONDS = st.floats(0.0, 3600.0)
SHARES = st.floats(0.0, 1.0)


@given(SECONDS, SECONDS, SECONDS, SHARES)
def test_a_slot_lies_between_now_and_the_end(begun: float, window: float, later: float, share: float) -> None:
    drain, now = Drain(begun, begun + window), begun + later
    slot = drain.slot(now, share)
    assert now <= slot <= max(drain.end, now) + 1e-9


@given(SECONDS, SHARES, SHARES)
def test_a_larger_share_never_ends_sooner(window: float, one: float, other: float) -> None:
    drain = Drain(0.0, window)
    one, other = sorted((one, other))
    assert drain.slot(0.0, one) <= drain.slot(0.0, other)
    assert drain.retry_after(one) <= drain.retry_after(other)


@pytest.mark.parametrize(
    ("now", "share", "slot"), [(0.0, 0.0, 0.0), (0.0, 1.0, 20.0), (0.0, 0.5, 10.0), (15.0, 1.0, 23.0), (25.0, 1.0,
    25.0), (30.0, 0.7, 30.0)]
)  # fmt: skip
def test_slots_are_spread_over_what_is_left_and_some_of_it_is_kept_back(now: float, share: float, slot: float) -> None:
    assert Drain(0.0, 25.0).slot(now, share) == pytest.approx(slot)
    assert SPREAD == 0.8


@given(SECONDS, SHARES)
def test_a_client_is_told_to_come_back_after_at_least_a_second(window: float, share: float) -> None:
    wait = Drain(0.0, window).retry_after(share)
    assert isinstance(wait, int) and 1 <= wait <= window + 5

"""The busiest consumers in bounded space: nobody is counted too much, and who is busy is found, early or late."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.consumers import BETWEEN, Consumers


@given(st.lists(st.sampled_from("abcdefghijkl"), max_size=300), st.integers(1, 4))
def test_never_more_than_there_were_nor_more_than_there_is_room_for(calls: list[str], most: int) -> None:
    consumers, exact = Consumers(most), Counter(calls)
    for name in calls:
        consumers.count(name, 0.5)
    assert len(consumers) <= BETWEEN * most
    counted = dict(consumers.busiest(len(consumers)))
    assert all(each.calls <= exact[name] and each.held == each.calls / 2 for name, each in counted.items())
    if len(exact) <= BETWEEN * most:
        assert {name: each.calls for name, each in counted.items()} == exact


def test_who_makes_every_third_call_stays_though_ten_thousand_others_pass() -> None:
    consumers = Consumers(10)
    for turn in range(30_000):
        consumers.count(f"passing-{turn % 10_000}" if turn % 3 else "busy", 1.0)
    assert [(name, each.calls, each.held) for name, each in consumers.busiest(1)] == [("busy", 10_000, 10_000.0)]


def test_who_begins_late_passes_those_who_began_early() -> None:
    consumers = Consumers(10)
    for turn in range(2_000):
        consumers.count(f"early-{turn % 20}", 0.0)  # 100 calls each, and room for no more
    for turn in range(20_000):
        consumers.count("late" if turn % 2 else f"passing-{turn}", 0.0)
    name, counted = consumers.busiest(1)[0]
    assert name == "late" and counted.calls > 9_000
    assert consumers.of("late") is counted and consumers.of("passing-0") is None

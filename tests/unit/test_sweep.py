"""What is over leaves the store of a process by itself, a part at a time, and nothing else does."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Timers
from gateway.state.bucket import Rate
from gateway.state.memory import MemoryStore
from gateway.state.store import Tokens
from gateway.state.sweep import EVERY, MOST, STAYS, Sweep
from gateway.state.table import Table
from tests.kit.calls import call_of, head_of
from tests.kit.jumping import JumpingLoop
from tests.kit.stores import take

QUICK = Rate(1.0, 5)  # full again a second after the last that was paid
KEYS = st.lists(st.tuples(st.integers(0, 400), st.floats(0.0, 20.0)), max_size=400)


def filled(keys: int, until: float) -> Table:
    table = Table()
    for number in range(keys):
        table.add(str(number), until, 0.0, keys + 1)
    return table


def test_those_who_were_here_once_are_forgotten_without_anybody_new() -> None:
    loop, store = JumpingLoop(), MemoryStore()
    Sweep(Timers(loop), store)
    for number in range(2 * MOST):
        take(store, (Tokens("free", f"once-{number}", QUICK),), call_of(head_of("/")), loop.time())
    loop.advance(STAYS)
    assert store.size == 2 * MOST, "who comes back within a minute is there still"
    loop.advance(5 * EVERY)
    assert store.size == 0


@given(KEYS, st.floats(0.0, 20.0), st.integers(1, 500))
def test_a_sweep_takes_nothing_away_that_counts(keys: list[tuple[int, float]], now: float, most: int) -> None:
    table, model = Table(), dict[str, float]()
    for number, until in keys:
        if str(number) not in model:
            table.add(str(number), until, 0.0, 1000)
            model[str(number)] = until
    assert table.sweep(now, most) <= most + 64
    for _ in range(20):
        table.sweep(now, most)
    counts = {key: until for key, until in model.items() if until > now}
    assert {key: until for key, until in table.until.items() if until > now} == counts
    assert all(model[key] == until for key, until in table.until.items())


def test_a_sweep_looks_no_further_where_most_count() -> None:
    table = filled(10_000, until=100.0)
    assert table.sweep(50.0, MOST) == 64
    assert table.sweep(150.0, 1000) == 1024
    assert len(table) == 10_000 - 1024


def test_the_room_of_those_who_left_is_given_back_and_those_who_know_the_table_go_on() -> None:
    table = filled(50_000, until=100.0)
    known, before = table.until, sys.getsizeof(table.until)
    table.until["49999"] = 900.0
    while len(table) > 1:
        table.sweep(200.0, MOST)
    assert table.until is known == {"49999": 900.0}
    assert sys.getsizeof(table.until) < before / 100

"""How late the loop is: the worst of the last seconds is told apart from the worst ever, and a stall is seen."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, cast

import pytest

from gateway.telemetry.lag import EVERY, Lag
from tests.kit.waiting import until


@pytest.mark.parametrize(
    ("notes", "now", "recent"),
    [
        ([], 100.0, 0.0),
        ([(0.2, 100.1), (0.5, 100.2), (0.1, 100.3)], 100.4, 0.5),
        ([(0.5, 100.0), (0.2, 109.0)], 109.5, 0.5),
        ([(0.5, 100.0), (0.2, 109.0)], 112.0, 0.2),
        ([(0.5, 100.0), (0.2, 109.0)], 200.0, 0.0),
        ([(-0.1, 100.0)], 100.0, 0.0),
    ],
)
def test_only_the_last_seconds_are_recent(notes: list[tuple[float, float]], now: float, recent: float) -> None:
    lag = Lag(cast(Any, None), lambda: now)
    for late, at in notes:
        lag.note(late, at)
    assert lag.recent == recent
    assert lag.most == max([late for late, _ in notes if late > 0], default=0.0)


async def test_a_stall_of_the_loop_is_seen() -> None:
    lag = Lag(asyncio.get_running_loop())
    lag.start()
    try:
        await asyncio.sleep(0)  # then it looks
        time.sleep(4 * EVERY)
        await until(lambda: lag.most >= 3 * EVERY * 0.99)
        assert lag.recent == lag.most
    finally:
        lag.stop()


async def test_the_longest_collection_is_kept_and_nobody_looks_after_the_end() -> None:
    before = list(gc.callbacks)
    lag = Lag(asyncio.get_running_loop())
    lag.start()
    await until(lambda: len(gc.callbacks) > len(before))
    gc.collect()
    assert lag.gc_pause > 0
    lag.stop()
    assert gc.callbacks == before


async def test_one_that_is_stopped_at_once_never_looks() -> None:
    before = list(gc.callbacks)
    lag = Lag(asyncio.get_running_loop())
    lag.start()
    lag.stop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gc.callbacks == before

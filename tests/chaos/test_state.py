"""That the cases of several nodes and several workers still work, scaled down: counts, no times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from .across import evict_nodes, evict_workers, wait_nodes, wait_workers
from .machine_lost import killed, killed_in_redis
from .sheet import Sheet
from .state_lost import back_empty, closed

Case = Callable[[Sheet, Path], Awaitable[None]]


@pytest.mark.parametrize(
    "case",
    [
        partial(evict_nodes, consumers=5),
        partial(evict_workers, consumers=5),
        partial(wait_nodes, consumers=3),
        partial(wait_workers, consumers=3),
        partial(back_empty, polls=40, away=1.0),
        partial(closed, polls=10, away=1.0),
        partial(killed, polls=40),
        partial(killed_in_redis, polls=40),
    ],
    ids=lambda case: case.func.__name__,
)
async def test_a_case_holds_scaled_down(tmp_path: Path, case: Case) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await case(sheet, tmp_path)
    assert sheet.checks >= 4 and not sheet.failed, lines

"""Waiting for a fact instead of for time: a test that waits names what must become true.
The limits are nets against a hang, far above what any machine needs; no test asserts them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
LIMIT = 30.0  # seconds
PAUSE = 0.005


async def until(fact: Callable[[], T], what: str = "", limit: float = LIMIT) -> T:
    """The first true value of `fact()`, looked at again and again; AssertionError after `limit` seconds."""
    end = time.monotonic() + limit
    while not (value := fact()):
        assert time.monotonic() < end, f"never became true: {what or fact}"
        await asyncio.sleep(PAUSE)
    return value


def until_sync(fact: Callable[[], T], what: str = "", limit: float = LIMIT) -> T:
    """`until` for tests and threads without a loop."""
    end = time.monotonic() + limit
    while not (value := fact()):
        assert time.monotonic() < end, f"never became true: {what or fact}"
        time.sleep(PAUSE)
    return value


async def soon(work: Awaitable[T], limit: float = LIMIT) -> T:
    """Awaits `work`, but never for longer than `limit` seconds (TimeoutError)."""
    return await asyncio.wait_for(work, limit)

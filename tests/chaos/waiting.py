"""Waiting in a case: for a fact, and how long that took. Unlike the tests' `until`, never becoming true is no error but
a finding for the sheet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

PAUSE = 0.01


async def reached(fact: Callable[[], bool | Awaitable[bool]], within: float) -> float | None:
    """Seconds until `fact()` was true; None when it was not for `within` seconds."""
    began = time.monotonic()
    while time.monotonic() - began < within:
        seen = fact()
        if seen if isinstance(seen, bool) else await seen:
            return time.monotonic() - began
        await asyncio.sleep(PAUSE)
    return None

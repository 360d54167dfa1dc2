"""While the memory that workers share cannot be asked: why, since when, what this process owes it, and how it is made
good when the memory is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import lmdb

from gateway.state.lmdb_lock import StuckError

if TYPE_CHECKING:
    from gateway.state.condition import Condition

logger = logging.getLogger("gateway")

AGAIN: Final = 0.1  # seconds until it is asked again
STILL: Final = 1.0  # seconds after which it is not full any more, if nobody has found it so

OnFailure = Literal["local", "closed", "open"]


class Outage:
    """`make_good` settles what was lent and given back meanwhile; it raises lmdb.Error where it cannot yet."""

    __slots__ = ("_loop", "_make_good", "_timer", "_wall", "condition", "lasts", "on_failure")

    def __init__(self, loop: asyncio.AbstractEventLoop, wall: Callable[[], float], condition: Condition,
                 on_failure: OnFailure, make_good: Callable[[], None]) -> None:  # fmt: skip
        self._loop = loop
        self._wall = wall
        self._make_good = make_good
        self._timer: asyncio.TimerHandle | None = None
        self.condition = condition
        self.on_failure = on_failure
        self.lasts = False

    def begins(self, error: Exception) -> None:
        """Or goes on. From here on nobody waits for the memory; it is looked at again in a moment. Where it is only
        full, what comes back must get through: each call that finds it so is decided alone."""
        self.condition.errors[kind(error)] += 1
        self.condition.slow += isinstance(error, StuckError)
        self.lasts = not isinstance(error, lmdb.MapFullError)
        if self.condition.turn(False, self._wall(), str(error)):
            logger.error("the state of this machine's workers cannot be asked: %s; on_failure = %r decides",
                         error, self.on_failure)  # fmt: skip
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(AGAIN if self.lasts else STILL, self._again)

    def ends(self) -> None:
        was = self.condition.why
        if self.condition.turn(True, self._wall()) and was:
            logger.warning("the state of this machine's workers can be asked again")
        self.lasts = False

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self._timer = None
        try:
            self._make_good()
        except (lmdb.Error, OSError) as error:
            self.begins(error)


def kind(error: Exception) -> str:
    """For who counts errors: full, stuck, corrupted, ..."""
    return type(error).__name__.removesuffix("Error").lower() or "other"

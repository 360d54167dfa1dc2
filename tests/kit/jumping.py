"""A real event loop whose clock jumps: while nothing is ready it is at once the time of what comes next. For tests
whose every party lives on this loop; sockets of others would be waited for in no time at all.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

TURN = 2**-20  # seconds a turn of the loop takes: no clock stands still


class JumpingLoop(asyncio.SelectorEventLoop):
    """`now` is its time, in seconds; `errors` is what nobody caught."""

    def __init__(self) -> None:
        self.now = 1024.0
        self.errors: list[dict[str, Any]] = []
        super().__init__(_Jumps(self))
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def __del__(self) -> None:
        """A test may just forget it: what it held open is closed, without a warning."""
        self.close()

    def time(self) -> float:
        return self.now

    def turns(self, count: int = 1) -> None:
        """Lets the loop turn, and nearly no time pass."""
        for _ in range(count):
            self.call_soon(self.stop)
            self.run_forever()

    def advance(self, seconds: float) -> None:
        """Lets time pass; everything happens at its instant."""
        self.call_at(self.now + seconds, self.stop)
        self.run_forever()
        self.turns()


class SlowingLoop(JumpingLoop):
    """Every look at its clock finds it further on, and took longer than all before."""

    def time(self) -> float:
        self.now += self.now - 1023.999
        return self.now


class _Jumps(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nothing will ever happen again"
            self._loop.now += timeout
        self._loop.now += TURN
        return ready

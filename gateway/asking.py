"""A call that waits for the word of a store elsewhere: what stands in `call.up` meanwhile. The store always answers; a
call that is over by then gives back what it was lent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.store import Taken
    from gateway.waiting import Spot


class Asking:
    """`spot` is the call's place in a line, where it has one; `again`: what it waits for may have come free since."""

    __slots__ = ("again", "answer", "call", "spot")

    def __init__(self, call: Call, answer: asyncio.Future[Taken], spot: Spot | None) -> None:
        self.call = call
        self.answer = answer
        self.spot = spot
        self.again = False

    def cancel(self) -> None:
        """The call is over, or goes on: it stands in no line any more."""
        if self.spot is not None:
            self.spot.cancel()

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")

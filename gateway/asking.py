"""A call that waits for the word of a store elsewhere: what stands in `call.up` meanwhile. The store always answers,
and only then a call goes on; one that is over by then gives back what it was lent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway import refusals

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.limits import Limits
    from gateway.state.store import Taken
    from gateway.waiting import Spot


class Asking:
    """`spot` is the call's place in a line, where it has one, and `yields` the poll that ends when this one is let in.
    `again`: what it waits for in that line may have come free since it asked. `until` (loop seconds): no store takes
    longer; a bug must not keep a call for ever. `charges` and `charged` are the call's as they were before."""

    __slots__ = (
        "_limits", "again", "answer", "call", "charged", "charges", "heard", "over", "said", "spot", "until", "yields",
    )  # fmt: skip

    def __init__(self, limits: Limits, call: Call, answer: asyncio.Future[Taken], spot: Spot | None,
                 yields: Call | None, until: float) -> None:  # fmt: skip
        self.call = call
        self.answer = answer
        self.spot = spot
        self.yields = yields
        self.until = until
        self.charges = call.charges
        self.charged = call.charged
        self.heard = limits.heard
        self.again = False
        self.said = False
        self.over = False
        self._limits = limits
        answer.add_done_callback(self._on_said)

    def _on_said(self, _: asyncio.Future[Taken]) -> None:
        call = self.call
        self.said = True
        if call.up is self:
            try:
                call.serve.on_turn(call)
            except Exception:
                call.serve.refuse(call, refusals.INTERNAL)  # or it would wait for ever
                raise
        else:
            self._limits.undo(self)
        if self.over:
            self._limits.in_passing(self)

    def forsake(self) -> Spot | None:
        """The call is over. What it was lent by now goes back, what it is lent later does when that is said; it leaves
        the spot where it may still stand."""
        self.over = True
        if self.answer.done():
            self._limits.undo(self)
        self.charged = False  # from here on what it has paid before is not ours to tell
        return self.spot

    def cancel(self) -> None:
        """The call is over, and stands in no line any more."""
        spot = self.forsake()
        if spot is not None:
            spot.cancel()

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body is read only once its head is sent")

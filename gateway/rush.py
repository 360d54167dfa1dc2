"""When one event wakes thousands of polls, their answers are one turn of the loop, and whoever comes meanwhile waits
for its end: 0.4 s with 8,000. Here all are read as they come, which takes a tenth of it, and told some a turn, in
their order: then a new request waits for 12 ms.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.poller import Outbox
    from gateway.upstream.http1 import UpstreamConnection

MOST: Final = 64  # in one turn: 3 ms
LOOK: Final = 16  # after so many it is looked whether the loop has turned, which costs a handle


class Rush:
    """Polls whose answer has come and waits for its turn."""

    __slots__ = ("_begun", "_loop", "_waiting", "outbox")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.outbox: Outbox | None = None  # in which what is written for them is gathered
        self._begun = 0  # since the loop turned, or fewer than LOOK before
        self._waiting: deque[tuple[UpstreamConnection, Call]] = deque()

    @property
    def crowded(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def keeps(self, connection: UpstreamConnection, call: Call) -> bool:
        """Whether the answer to that poll must wait; its connection is told to `catch_up` then."""
        self._begun += 1
        if self._begun == LOOK:
            self._loop.call_soon(self._turned)
        if self._begun <= MOST:
            return False
        self._waiting.append((connection, call))
        return True

    def _turned(self) -> None:
        waiting, outbox = self._waiting, self.outbox
        if outbox is not None:
            outbox.gather()
        try:
            for _ in range(min(MOST, len(waiting))):
                connection, call = waiting.popleft()
                if connection.call is call:
                    connection.catch_up()
        finally:  # a bug in one call must not keep the answers of the others
            if outbox is not None:
                outbox.send()
            if waiting:
                self._loop.call_soon(self._turned)
            else:
                self._begun = 0

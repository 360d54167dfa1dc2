"""Streams of events (HTML Standard 9.2) as they pass through: which answers are one, where an event ends, and what is
due when. Pure, with `now` handed in; `serve` acts on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER
from gateway.outcome import Outcome

if TYPE_CHECKING:
    from gateway.head import ResponseHead
    from gateway.shapes import Sse

HEARTBEAT: Final = b":\n\n"  # a comment and an empty line: to no reader an event
# Share of `max_time` by which a stream ends sooner, or all that began together would come back together.
SPREAD: Final = 0.1
_ENDS = (b"\n\n", b"\r\r", b"\n\r\n", b"\n\r")  # an empty line; lines end in any of CRLF, LF and CR
_OUTCOMES: Final = {"drain": Outcome.DRAINED}  # why a stream was ended; EXPIRED for every other reason


def is_stream(head: ResponseHead) -> bool:
    """Whether an answer is a stream of events, whatever parameters its type has."""
    media = head.headers.get("Content-Type", "").partition(";")[0]
    return head.status < 300 and media.strip().lower() == "text/event-stream"


class Stream:
    """One that passes through. Instants in loop seconds, `end` with its `cause` is when it must end."""

    __slots__ = ("_every", "_heard", "_idle", "_sent", "_tail", "cause", "choked", "end")

    def __init__(self, head: ResponseHead, sse: Sse | None, idle: float, now: float) -> None:
        plain = head.length is None and "Content-Encoding" not in head.headers  # else a comment would break it
        self._every = sse.heartbeat if sse is not None and plain else NEVER
        self._idle = sse.idle if sse is not None else idle
        self._heard = self._sent = now
        self._tail = b"\n\n"
        self.choked = False  # the client takes nothing just now
        self.end = NEVER
        self.cause: str | None = None

    @property
    def between(self) -> bool:
        """Whether what has come so far ends where an event does."""
        return self._tail.endswith(_ENDS)

    def came(self, data: bytes, now: float) -> None:
        """The service sent something."""
        self._heard = self._sent = now
        if data:
            self._tail = data[-3:] if len(data) > 2 else (self._tail + data)[-3:]

    def beat(self, now: float) -> None:
        """It was time for a heartbeat, whether or not there was a place for it."""
        self._sent = now

    def go_on(self, now: float) -> None:
        """The client took what was there: nobody was silent meanwhile."""
        self.choked = False
        self._heard = self._sent = now

    def end_by(self, instant: float, cause: str) -> None:
        if instant < self.end:
            self.end, self.cause = instant, cause

    @property
    def due(self) -> float:
        """When something has to be done next."""
        return self.end if self.choked else min(self._heard + self._idle, self._sent + self._every, self.end)

    def lives(self, now: float) -> bool:
        """Whether it may go on: it has not reached its end, nor has the service been silent for too long."""
        return now < self.end and (self.choked or now < self._heard + self._idle)

    def ending(self, now: float) -> tuple[Outcome, str | None]:
        """How it ends that lives no more, and the note of that."""
        if now < self.end:
            return Outcome.TRUNCATED, "body_idle"
        return _OUTCOMES.get(self.cause or "", Outcome.EXPIRED), "max_time" if self.cause == "max_time" else None

"""What is asked of a Redis server in one turn of the loop goes there together. Releases and the like are said and
forgotten; who takes something waits for its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import hiredis
import orjson

from gateway.state.redis_errors import LostError, kind_of
from gateway.state.redis_session import Reply, Session
from gateway.state.redis_words import Script

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.mirror import Lent
    from gateway.state.redis_asked import RedisAsked
    from gateway.state.redis_words import Mark
    from gateway.state.store import Keys, Place, Taken

MOST: Final = 50  # asks in one call of the script; the server is at work on them while this process takes in the next

Ask = Sequence[Any]


class Pending:
    """A call that takes something. `late`: it was decided without the answer, which is still to come."""

    __slots__ = ("answer", "asked", "call", "keys", "late", "marks", "number", "older", "places", "tokens", "tries",
                 "yields")  # fmt: skip

    def __init__(self, asked: RedisAsked, call: Call, yields: Call | None, answer: asyncio.Future[Taken]) -> None:
        self.asked = asked
        self.call = call
        self.yields = yields
        self.older: Lent | None = None  # what `yields` holds, once a place of it was granted
        self.answer = answer
        self.number = 0
        self.keys: Keys = ()
        self.tokens: list[tuple[str, float, int]] = []  # the bucket, seconds a token, how many it holds
        self.places: list[Place] = []
        self.marks: list[Mark] = []
        self.late = False
        self.tries = 0


class Clerk(Protocol):
    """What is done with answers."""

    def answered(self, pending: Pending, answer: Sequence[Any]) -> None: ...

    def unanswered(self, pending: Pending) -> None:
        """Nobody says; the call is decided otherwise."""

    def slow(self) -> None:
        """An answer is overdue."""

    def error(self, kind: str, text: str) -> None: ...


class Desk:
    """`session` is where asks go, under the name of `owner`; without one nothing is asked, and nothing need be said: a
    new session begins by saying all that is so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, prefix: str, clerk: Clerk) -> None:
        self.session: Session | None = None
        self.owner = ""
        self.script = Script("decide")
        self._loop = loop
        self._prefix = prefix
        self._clerk = clerk
        self._asks: list[Ask] = []
        self._takers: list[Pending] = []

    def take(self, pending: Pending, ask: Ask) -> None:
        self._takers.append(pending)
        self.say(ask)

    def say(self, ask: Ask) -> None:
        if not self._asks:
            self._loop.call_soon(self._flush)
        self._asks.append(ask)
        if len(self._asks) >= MOST:
            self._flush()

    def command(self, asks: Sequence[Ask]) -> bytes:
        return self.script.call(self._prefix, self.owner, orjson.dumps(asks))

    def begin(self, session: Session | None, owner: str) -> None:
        """From now on asks go there; what was to be said before was to be said to another."""
        self._flush()
        self.session, self.owner = session, owner

    def _flush(self) -> None:
        asks, takers = self._asks, self._takers
        if not asks:
            return
        self._asks, self._takers = [], []
        self._send(asks, takers)

    def _send(self, asks: Sequence[Ask], takers: Sequence[Pending]) -> None:
        session = self.session
        if session is None:
            for pending in takers:
                self._clerk.unanswered(pending)
            return
        payload = orjson.dumps(asks)
        session.send(
            self.script.call(self._prefix, self.owner, payload),
            partial(self._told, session, takers, payload),
            partial(self._missed, takers) if takers else None,
        )

    def _missed(self, takers: Sequence[Pending]) -> None:
        self._clerk.slow()
        for pending in takers:
            pending.late = True
            self._clerk.unanswered(pending)

    def _told(self, session: Session, takers: Sequence[Pending], payload: bytes, reply: Reply) -> None:
        if isinstance(reply, hiredis.ReplyError) and kind_of(str(reply)) == "noscript":
            self._again(session, takers, payload)
            return
        answers = self._read(session, takers, reply)
        if answers is None:
            for pending in takers:
                if not pending.late:
                    self._clerk.unanswered(pending)
            return
        try:
            for pending, answer in zip(takers, answers, strict=True):
                self._clerk.answered(pending, answer)
        except (ValueError, TypeError, LookupError) as error:
            session.end(error)
            for pending in takers:
                if not pending.answer.done():
                    self._clerk.unanswered(pending)

    def _again(self, session: Session, takers: Sequence[Pending], payload: bytes) -> None:
        """Somebody made the server forget its scripts: it was asked for nothing yet."""
        self._clerk.error("noscript", "")
        command = self.script.call_whole(self._prefix, self.owner, payload)
        told = partial(self._told, session, takers, payload)
        late = any(pending.late for pending in takers)
        session.send(command, told, partial(self._missed, takers) if takers and not late else None)

    def _read(self, session: Session, takers: Sequence[Pending], reply: Reply) -> Sequence[Any] | None:
        """The answers; None where there are none, and why is told."""
        if isinstance(reply, LostError):
            return None
        if isinstance(reply, Exception):
            self._clerk.error(kind_of(str(reply)), str(reply))
            return None
        if reply == b"unknown":
            session.end(LostError("forgotten"))
            return None
        answers, errors = read(reply)
        if answers is None or len(answers) != len(takers):
            session.end(ValueError("it answers with something else"))
            return None
        for error in errors:
            self._clerk.error(kind_of(error), error)
        return answers


def read(reply: Reply) -> tuple[Sequence[Any] | None, Sequence[str]]:
    """Answers and errors, from what a script returned; None for what no script of ours returns."""
    try:
        answers, errors = orjson.loads(reply)
    except (TypeError, ValueError):
        return None, ()
    return answers or (), errors or ()

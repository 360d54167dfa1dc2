"""This process as one of those that share a Redis server: it comes, says what it has lent, is heard of every few
seconds, buries who is not heard of any more; and comes back, under another name, whenever the connection was lost.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hiredis
import orjson

from gateway.state.redis_advice import advice
from gateway.state.redis_claims import Claims
from gateway.state.redis_errors import LostError, kind_of, sentence
from gateway.state.redis_neighbours import Neighbours, nodes
from gateway.state.redis_session import Reply, Session
from gateway.state.redis_words import Script, packed

if TYPE_CHECKING:
    from gateway.state.redis import RedisStore
    from gateway.state.redis_session import Where
    from gateway.state.redis_terms import Terms

logger = logging.getLogger("gateway")

MOST_FORMER = 8  # names of our own that may still stand in places; older ones have been buried by others


class Node:
    """`name` is this process's own. Its owner is another one with each connection: what an earlier one may still have
    under way, or never got to say, counts for nothing once that owner is gone."""

    def __init__(self, store: RedisStore, where: Where, prefix: str, terms: Terms, name: str = "") -> None:
        self.name = name or secrets.token_hex(8)
        self._store = store
        self._where = where
        self._prefix = prefix
        self._terms = terms
        self._script = Script("node")
        self._epoch = 0
        self._owners: list[str] = []  # ours: the present one, behind those that may still stand in places
        self._session: Session | None = None
        self._stirred = asyncio.Event()
        self._hurry = False  # there is something to see before the next beat is due
        self._task: asyncio.Task[None] | None = None
        self._neighbours = Neighbours(terms.dead, terms.beat * 2.5)
        self._graves = ""
        self._claims = Claims(store)

    # -- the beginning and the end -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when the server is asked. Raises ValueError with a sentence where it cannot be; it is tried again and
        again all the same."""
        first: asyncio.Future[None] = self._store.loop.create_future()
        self._task = self._store.loop.create_task(self._live(first))
        try:
            await first
        except Exception as error:
            raise ValueError(sentence(self._where, kind_of(error), error)) from error

    async def close(self) -> None:
        """Its name goes, and with it whatever was still lent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        session, self._session = self._session, None
        self._store.desk.begin(None, "")
        if session is not None and not session.over:
            with suppress(Exception):
                async with asyncio.timeout(self._terms.budget * 3):
                    await session.ask(self._call(self._owner, "leave"))
            session.end(LostError("closed"))

    def stir(self, kind: str) -> None:
        """Something is wrong: it is tried soon whether it still is. A replica is left, for the name may lead to its
        primary by now."""
        self._stirred.set()
        if kind == "readonly" and self._session is not None:
            self._session.end(LostError("READONLY"))

    def ended(self, owner: str) -> None:
        """The process that went by that name is no more: whatever it was lent is free as soon as the server hears of
        it."""
        if owner != self.name:
            self._neighbours.ended(owner)
            self._hurry = True
            self._stirred.set()

    # -- its life ------------------------------------------------------------------------------------------------

    @property
    def _owner(self) -> str:
        return f"{self.name}.{self._epoch}"

    @property
    def _former(self) -> list[str]:
        return self._owners[:-1]

    async def _live(self, first: asyncio.Future[None]) -> None:
        while True:
            session = Session(self._terms.budget, self._terms.patience, self._store.heard, self._lost)
            try:
                await session.connect(self._where, self._terms.connect)
                self._session = session
                await self._come(session)
                if not first.done():
                    first.set_result(None)
                await self._stay(session)
            except Exception as error:  # whatever answers there: a life that ended here would never begin again
                self._lost(session, error)
                session.end(error)
                if not first.done():
                    first.set_exception(error)
            await asyncio.sleep(self._terms.again * (0.2 + 0.8 * random.random()))

    def _lost(self, session: Session, error: Exception) -> None:
        """Told once of each session, also of one that was never opened."""
        if session.over and session is not self._session:
            return
        self._session = None
        self._store.desk.begin(None, "")
        self._store.lost(error)

    async def _come(self, session: Session) -> None:
        """Known there, and all that is lent here is known too; then calls are asked about."""
        store, terms = self._store, self._terms
        for script in (store.desk.script, self._script):
            await session.ask(script.load())
        await session.ask(packed("SUBSCRIBE", f"{self._prefix}:to:{self.name}"))
        if self._epoch == 0 and (said := await advice(session)):
            logger.warning("state.url: %s: %s", self._where.url, said)
        nobody = f"{self.name}.0"  # before anybody is known there who could not be buried
        for ask in (("bury", nobody, "0"), ("leave",)):
            await session.ask(self._call(nobody, *ask))
        returning = self._epoch > 0
        self._epoch += 1
        seen = await self._ask(session, "join", int(returning), int(terms.settle * 1000))
        self._owners = [*self._owners[-MOST_FORMER:], self._owner]
        for lent in store.mirror.lent.values():
            lent.known = False
        store.desk.begin(session, self._owner)
        await self._claims.trial(session)
        await self._claims.lent(session, self._former)
        await self._claims.waiting(session, self._former)
        for former in self._former:
            await session.ask(self._call(former, "leave"))
        self._owners = [self._owner]
        if seen[2] > 0:
            await asyncio.sleep(min(seen[2] / 1000, terms.settle))  # the server's clock may have gone back meanwhile
        await self._beat(session)
        await self._closes(session)

    async def _stay(self, session: Session) -> None:
        """Until the connection is lost."""
        terms, loop = self._terms, self._store.loop
        due = loop.time() + terms.beat
        while not session.over:
            breaker = self._store.breaker
            self._stirred.clear()
            if not breaker.closed:
                if breaker.tries(loop.time()):
                    await self._probe(session)
                else:
                    await asyncio.sleep(terms.rest / 4)
            elif self._hurry or loop.time() >= due:
                self._hurry = False
                due = loop.time() + terms.beat
                await self._beat(session)
                self._claims.some(terms.beat / terms.sweep)
            else:
                await self._rest(due - loop.time())

    async def _rest(self, seconds: float) -> None:
        """Or less, if something is wrong."""
        try:
            async with asyncio.timeout(seconds):
                await self._stirred.wait()
        except TimeoutError:
            pass

    async def _probe(self, session: Session) -> None:
        began = self._store.loop.time()
        await self._beat(session)
        if self._store.loop.time() - began <= self._terms.budget:
            await self._closes(session)
        else:
            self._store.breaker.failed(self._store.loop.time())

    async def _closes(self, session: Session) -> None:
        """What was lent without the server is made known; then it decides."""
        self._store.breaker.tries(float("inf"))
        await self._claims.lent(session, self._former)
        self._store.back()

    # -- signs of life -------------------------------------------------------------------------------------------

    def _call(self, owner: str, verb: str, *more: str | int) -> bytes:
        return self._script.call(self._prefix, owner, verb, *more)

    async def _ask(self, session: Session, verb: str, *more: str | int) -> Sequence[Any]:
        reply = await session.ask(self._call(self._owner, verb, *more))
        if reply == b"unknown":
            raise LostError("forgotten")
        seen: Sequence[Any] = orjson.loads(reply)
        flat = seen[0] or ()
        beats = dict(zip(flat[::2], flat[1::2], strict=True))
        self._see(session, beats, seen[1])
        return seen

    async def _beat(self, session: Session) -> None:
        await self._ask(session, "beat")

    def _see(self, session: Session, beats: Mapping[str, str], graves: str) -> None:
        store = self._store
        others = {owner: beat for owner, beat in beats.items() if owner != self._owner}
        gone = self._neighbours.look(others, store.loop.time())
        store.condition.parts = max(nodes(beats.keys() - dict(gone).keys()), 1)
        if gone:
            names = [word for pair in gone for word in pair]
            session.send(self._call(self._owner, "bury", *names), self._buried)
        elif graves != self._graves:
            store.poke()
        self._graves = graves

    def _buried(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.ReplyError):
            self._store.error(kind_of(str(reply)), str(reply))
        self._store.poke()

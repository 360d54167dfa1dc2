"""Nodes that share a Redis server, without a gateway around them: each a real RedisStore with short times, asked by
calls that hold what they get. And the time of the server, where a test wants to say what it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from gateway.call import Call, State
from gateway.config.states import parse_state
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from gateway.state.redis import OnFailure, RedisStore
from gateway.state.redis_session import Where
from gateway.state.redis_terms import Terms
from gateway.state.redis_words import Script
from gateway.state.store import Demand, Denied, Place, Taken, Tokens

from .calls import call_of, head_of
from .redis_server import RedisServer
from .stores import Capping, Metering
from .waiting import until

BLANK = Reply(Outcome.BLANK, 200)
TIME = "local time = redis.call('TIME')"
LIFE = "'PX', math.ceil((at - now) * 1000) + 1"  # which the server counts by its real clock
BARRED = "life = math.ceil(grace * 1000) + 1"
TOLD_TIME = "local time = redis.call('LRANGE', string.sub(KEYS[1], 1, -7) .. ':time', 0, 1)"
# A decision gets a second here: the machine of a test may be busy. What a test wants short it says itself.
TERMS = Terms(budget=1.0, patience=3.0, rest=0.05, beat=0.1, dead=0.5, settle=0.2, confirm=1.0, again=0.05, connect=3.0)


def poll(state: State = State.PARKED, blank: Reply | None = BLANK) -> Call:
    """A call that may be ended to make room, unless its state or its dialect forbid it."""
    call = call_of(head_of())
    call.state, call.blank = state, blank
    return call


class Node:
    """`freed` and `ended` are what the store told, in order; who is ended gives back what it holds."""

    def __init__(self, url: str, prefix: str, on_failure: OnFailure = "local", **terms: float) -> None:
        where = Where(parse_state(url))
        self.store = RedisStore(where, prefix, on_failure, time.time, replace(TERMS, **cast(Any, terms)))
        self.freed: list[tuple[str, str]] = []
        self.ended: list[tuple[Call, str]] = []
        self.store.watch(lambda limit, key: self.freed.append((limit, key)), self._end)

    def _end(self, call: Call, by: str) -> None:
        self.ended.append((call, by))
        release(call)

    @property
    def asked(self) -> bool:
        """Whether the server decides."""
        return self.store.breaker.closed

    async def take(self, *demands: Demand, holder: Call | None = None, yields: Call | None = None) -> Taken:
        rates = [Metering(demand) for demand in demands if isinstance(demand, Tokens)]
        caps = [Capping(demand) for demand in demands if isinstance(demand, Place)]
        taken = self.store.prepare(rates, caps).take(holder or poll(), self.store.loop.time(), yields)
        return await taken if isinstance(taken, asyncio.Future) else taken

    async def lets_in(self, *demands: Demand, holder: Call | None = None) -> bool:
        return await self.take(*demands, holder=holder) is None

    async def holders(self, number: int, *demands: Demand) -> list[Call]:
        """So many calls, all let in."""
        calls = [poll() for _ in range(number)]
        assert await asyncio.gather(*(self.take(*demands, holder=call) for call in calls)) == [None] * number
        return calls

    def vanish(self) -> None:
        vanish(self.store)


def vanish(store: RedisStore) -> None:
    """As a process that is killed: it says nothing more to anybody."""
    assert store._node._task is not None and store._node._session is not None
    store._node._task.cancel()
    session, store._node._session = store._node._session, None
    store.desk.begin(None, "")
    session.end(ConnectionError("killed"))


def release(call: Call) -> None:
    leases, call.leases = call.leases, ()
    for lease in leases:
        lease.release()


def told_scripts(store: RedisStore) -> None:
    """The scripts of a store that has not started take the time from a key: what is tested is what is shipped, but for
    that."""
    store.desk.script = Script("decide", at_told_times_text)
    store._node._script = Script("node", at_told_times_text)


def at_told_times_text(text: str) -> str:
    """Of a script."""
    assert text.count(TIME) == 1
    return text.replace(TIME, TOLD_TIME).replace(LIFE, "'PX', 1000000").replace(BARRED, "life = 1000000")


@asynccontextmanager
async def nodes(url: str, prefix: str, number: int = 1, *, on_failure: OnFailure = "local", started: bool = True,
                **terms: float) -> AsyncIterator[Sequence[Node]]:  # fmt: skip
    """Nodes that know of each other."""
    made = [Node(url, prefix, on_failure, **terms) for _ in range(number)]
    try:
        for node in made if started else ():
            await node.store.start()
        if started:
            await until(lambda: all(node.store.condition.parts >= number for node in made), "they know of each other")
        yield made
    finally:
        for node in made:
            await node.store.close()


def denied(taken: Taken) -> Denied:
    assert isinstance(taken, Denied)
    return taken


def places(server: RedisServer, prefix: str) -> int:
    """Places that are taken: what somebody holds who is no more counts for nothing, and goes when it matters."""
    alive = server.ask("HKEYS", f"{prefix}:nodes")
    members = [one for key in server.keys(f"{prefix}:l") for one in server.ask("ZRANGE", key, 0, -1)]
    return sum(one.partition(":")[0] in alive for one in members)


async def asked_again(*group: Node) -> None:
    await until(lambda: all(node.asked for node in group), "the server decides again")

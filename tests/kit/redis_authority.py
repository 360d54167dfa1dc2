"""`redis://` as an authority of `authorities`: the real store and a real server, at times that a test says. The loop
runs while somebody waits for an answer, and its clock stands still.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence

import redis

from gateway.call import Call
from gateway.config.states import parse_state
from gateway.state import bucket
from gateway.state.bucket import Level
from gateway.state.redis import RedisStore
from gateway.state.redis_asked import RedisAsked
from gateway.state.redis_session import Where
from gateway.state.store import Capped, Metered, Taken, Tokens

from .redis_nodes import TERMS, told_scripts, vanish
from .redis_scripts import EPOCH
from .redis_server import common_server

START = 1_800_000_000
_prefixes = itertools.count()


class ToldLoop(asyncio.SelectorEventLoop):
    """`now` is its time."""

    now = 100.0

    def time(self) -> float:
        return self.now


class _ToldAsked(RedisAsked):
    """Asked at the time that the test says, here and in the server."""

    __slots__ = ("_at",)

    def take(self, call: Call, now: float, yields: Call | None = None) -> Taken | asyncio.Future[Taken]:
        self._at(now)
        return super().take(call, now, yields)


class _ToldStore(RedisStore):
    authority: Redis

    def prepare(self, rates: Sequence[Metered], caps: Sequence[Capped]) -> RedisAsked:
        asked = _ToldAsked(self, rates, caps)
        asked._at = self.authority.at  # type: ignore[attr-defined]
        return asked

    def held(self, limit: str, key: str) -> int:
        """As the server counts them, for a test: each gateway only knows its own."""
        return self.authority.held(self.names[limit, key])

    def level(self, demand: Tokens, now: float) -> Level:
        """The same of tokens."""
        return bucket.level(self.authority.full_at(self.names[demand.limit, demand.key]), demand.rate, now)


class Redis:
    """`redis://` under a prefix of its own."""

    def __init__(self) -> None:
        server = common_server()
        self._where = Where(parse_state(server.url))
        self._client: redis.Redis = server.client()
        self._prefix = f"authority{next(_prefixes)}"
        self.loop = ToldLoop()
        self.stores: list[RedisStore] = []
        self.at(100.0)

    def at(self, now: float) -> None:
        if now != self.loop.now or not self.stores:
            self.turns()  # what was said before counts from before
            self.loop.now = now
            whole, micro = divmod(round((START + now) * 1_000_000), 1_000_000)
            with self._client.pipeline() as both:
                both.delete(f"{self._prefix}:time").rpush(f"{self._prefix}:time", whole, micro).execute()

    def store(self) -> RedisStore:
        return self.loop.run_until_complete(self._start())

    async def _start(self) -> RedisStore:
        store = _ToldStore(self._where, self._prefix, "local", time.time, TERMS)
        store.authority = self
        told_scripts(store)
        await store.start()
        self.stores.append(store)
        return store

    def turns(self) -> None:
        self.loop.run_until_complete(self._heard())

    async def _heard(self) -> None:
        """What was said has come through the server, to and fro."""
        for _ in range(3):
            for store in self.stores:
                session = store._node._session
                assert session is not None
                store.desk._flush()
                await session.ask(b"*1\r\n$4\r\nPING\r\n")
                await asyncio.sleep(0)

    def held(self, name: str) -> int:
        self.turns()
        return int(self._client.zcard(f"{self._prefix}:l:{name}"))

    def full_at(self, name: str) -> float:
        self.turns()
        found = self._client.get(f"{self._prefix}:b:{name}")
        return float(str(found)) + EPOCH - START if found is not None else bucket.FULL

    def living(self, name: str, kind: str) -> list[str]:
        """Who has a place, or waits, and is not gone."""
        nodes = self._client.hkeys(f"{self._prefix}:nodes")
        return [
            one for one in self._client.zrange(f"{self._prefix}:{kind}:{name}", 0, -1) if one.partition(":")[0] in nodes
        ]

    def die(self, store: RedisStore) -> None:
        """As a process that is killed; returns when the others have noticed, and each has heard of that."""
        self.stores.remove(store)
        owner = store.desk.owner
        vanish(store)
        for _ in range(100):
            if not self._client.hexists(f"{self._prefix}:nodes", owner):
                break
            self._pass(0.125)
        else:
            raise AssertionError("it was never missed")
        for _ in range(int(TERMS.beat / 0.125) + 1):
            self._pass(0.125)

    def _pass(self, seconds: float) -> None:
        self.at(self.loop.now + seconds)
        self.turns()

    def close(self) -> None:
        for store in self.stores:
            self.loop.run_until_complete(store.close())
        self._client.close()
        self.loop.close()

"""`redis://` when a process has ended and its neighbours are told: what it was lent is free without anybody having
missed it, and nobody who lives loses anything. Nobody misses anybody here: an hour of silence would be needed for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from gateway.state.store import Place
from tests.kit.redis_nodes import Node, asked_again, denied, nodes, places, poll
from tests.kit.redis_server import RedisServer
from tests.kit.relay import relay
from tests.kit.waiting import until

CAP = Place("cap", "alice", 4, "alice")
LINE = Place("line", "alice", 1, "alice", line=5)
HOUR = 3600.0


@asynccontextmanager
async def patient(url: str, prefix: str, number: int, **terms: float) -> AsyncIterator[Sequence[Node]]:
    """They come one after the other, or they would know of each other only with their second sign of life."""
    async with nodes(url, prefix, number, started=False, beat=HOUR, dead=HOUR, **terms) as group:
        for node in group:
            await node.store.start()
        yield group


def name(node: Node) -> str:
    return node.store._node.name


def alive(server: RedisServer, prefix: str) -> set[str]:
    return {owner.partition(".")[0] for owner in server.ask("HKEYS", f"{prefix}:nodes")}


async def test_what_it_was_lent_is_free_and_who_waits_is_told(redis: RedisServer, prefix: str) -> None:
    async with patient(redis.url, prefix, 2) as (a, b):
        await a.holders(4, CAP)
        await a.holders(1, LINE)
        waits = poll()
        assert denied(await b.take(LINE, holder=waits)).queued and not await b.lets_in(CAP)
        a.vanish()
        assert not await b.lets_in(CAP), "nobody knows yet"
        b.store.gone(name(a))
        await until(lambda: b.freed)
        assert b.freed == [("line", "alice")] and await b.lets_in(LINE, holder=waits)
        assert [await b.lets_in(CAP) for _ in range(5)] == [True] * 4 + [False]
        assert b.store.condition.parts == 1 and alive(redis, prefix) == {name(b)}


async def test_told_again_or_of_itself_or_by_several_nobody_who_lives_loses_a_place(
    redis: RedisServer, prefix: str
) -> None:
    async with patient(redis.url, prefix, 3) as (a, b, c):
        for node in (a, b, c):
            await node.holders(1, CAP)
        a.vanish()
        for _ in range(3):
            for node in (b, c):
                node.store.gone(name(a))
                node.store.gone(name(node))
        await until(lambda: alive(redis, prefix) == {name(b), name(c)})
        assert [await b.lets_in(CAP) for _ in range(3)] == [True, True, False]
        assert places(redis, prefix) == 4 and b.asked and c.asked
        assert "forgotten" not in b.store.condition.errors | c.store.condition.errors


async def test_who_comes_later_is_told_later_and_it_is_free_then(redis: RedisServer, prefix: str) -> None:
    """Where nobody was left to hear of it."""
    async with patient(redis.url, prefix, 2) as (a, b):
        await a.holders(2, CAP)
        await b.holders(2, CAP)
        gone = [name(a), name(b)]
        a.vanish()
        b.vanish()
        async with patient(redis.url, prefix, 1) as (c,):
            assert not await c.lets_in(CAP)
            for each in gone:
                c.store.gone(each)
            await until(lambda: alive(redis, prefix) == {name(c)})
            assert [await c.lets_in(CAP) for _ in range(5)] == [True] * 4 + [False]


async def test_what_cannot_be_said_now_is_said_when_the_server_is_reached_again(
    redis: RedisServer, prefix: str
) -> None:
    async with relay(redis.port) as between, patient(redis.url, prefix, 1) as (a,):
        url = f"redis://127.0.0.1:{between.port}"
        async with patient(url, prefix, 1, budget=0.1, patience=0.3, connect=0.3) as (b,):
            await a.holders(4, CAP)
            between.cut()
            await b.lets_in(CAP)
            await until(lambda: not b.asked)
            a.vanish()
            b.store.gone(name(a))
            assert name(a) in alive(redis, prefix)
            between.mend()
            await asked_again(b)
            await until(lambda: name(a) not in alive(redis, prefix))

"""`redis://` with a server that answers, but not as it should: it takes no writes, has the value of somebody else at a
key, was made to forget, or its clock jumps.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.state.bucket import Rate
from gateway.state.store import Place, Tokens
from tests.kit.redis_nodes import asked_again, denied, nodes, places, poll, release, told_scripts
from tests.kit.redis_server import RedisServer
from tests.kit.waiting import until

CAP = Place("cap", "alice", 6, "alice")
LINE = Place("line", "alice", 1, "alice", line=5)
EVICT = Place("evict", "alice", 1, "alice", evict=True)
ALICE = Tokens("free", "alice", Rate(600.0, 6))


async def full(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "1")


async def roomy(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "0")


async def replica(server: RedisServer) -> None:
    server.ask("REPLICAOF", "127.0.0.1", "1")


async def primary(server: RedisServer) -> None:
    server.ask("REPLICAOF", "NO", "ONE")


async def lonely(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "min-replicas-to-write", "1")


async def enough(server: RedisServer) -> None:
    server.ask("CONFIG", "SET", "min-replicas-to-write", "0")


@pytest.mark.parametrize(
    ("breaks", "mends", "kind"),
    [(full, roomy, "oom"), (replica, primary, "readonly"), (lonely, enough, "noreplicas")],
)
async def test_a_server_that_takes_no_writes_is_not_asked_until_it_does(
    own: RedisServer, prefix: str, breaks: object, mends: object, kind: str
) -> None:
    async with nodes(own.url, prefix) as (node,):
        held = await node.holders(2, CAP)
        await breaks(own)  # type: ignore[operator]
        taken = [await node.lets_in(CAP) for _ in range(6)]
        assert taken.count(True) == 4 and not node.asked
        assert node.store.condition.errors[kind] and node.store.condition.why
        release(held[0])
        await mends(own)  # type: ignore[operator]
        await asked_again(node)
        await until(lambda: places(own, prefix) == 5)
        assert [await node.lets_in(CAP) for _ in range(2)] == [True, False]


async def test_a_wrong_value_at_a_key_is_the_trouble_of_those_it_counts(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        redis.ask("HSET", f"{prefix}:l:{node.store.names['cap', 'alice']}", "x", "y")
        assert [await node.lets_in(CAP) for _ in range(7)] == [True] * 6 + [False], "alone"
        assert node.asked and node.store.condition.errors["wrongtype"] >= 7
        assert await node.lets_in(replace(CAP, key="bob")) and node.store.condition.decisions["asked"] == 1
        assert node.store.condition.answers


async def test_a_call_that_a_wrong_value_stopped_halfway_holds_nothing_there(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        redis.ask("HSET", f"{prefix}:e:{node.store.names['cap', 'alice']}", "x", "y")
        call = poll()
        assert await node.lets_in(ALICE, replace(CAP, limit="other"), CAP, holder=call)
        await until(lambda: places(redis, prefix) == 0)
        release(call)
        assert await node.lets_in(replace(CAP, limit="other", max=1))


async def test_an_older_poll_keeps_its_place_when_that_stopped_the_newer_one(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        one, other = replace(CAP, max=1), replace(CAP, limit="other")
        (older,) = await node.holders(1, one)
        redis.ask("HSET", f"{prefix}:e:{node.store.names['other', 'alice']}", "x", "y")
        node.store.on_failure = "closed"
        assert denied(await node.take(one, other, holder=poll(), yields=older)).failed
        assert older.leases and not await node.lets_in(one)
        release(older)
        await until(lambda: places(redis, prefix) == 0)


@pytest.mark.parametrize("command", [("FLUSHALL",), ("SCRIPT", "FLUSH")])
async def test_who_makes_the_server_forget_loses_no_lease(own: RedisServer, prefix: str, command: tuple[str]) -> None:
    async with nodes(own.url, prefix) as (node,):
        held = await node.holders(5, CAP)
        own.ask(*command)
        assert await node.lets_in(CAP)
        await asked_again(node)
        assert not await node.lets_in(CAP) and places(own, prefix) == 6
        for call in held:
            release(call)
        await until(lambda: places(own, prefix) == 1)


def at(server: RedisServer, prefix: str, seconds: int) -> None:
    """The time of the server, as scripts see it."""
    push = "redis.call('DEL', KEYS[1]); redis.call('RPUSH', KEYS[1], ARGV[1], 0)"
    server.ask("EVAL", push, 1, f"{prefix}:time", seconds)


@pytest.mark.parametrize("jump", [3600, -3600])
async def test_who_comes_after_the_clock_jumped_takes_nobody_for_dead(
    redis: RedisServer, prefix: str, jump: int
) -> None:
    """Before anybody else had the time for a sign of life."""
    at(redis, prefix, 1_800_000_000)
    async with nodes(redis.url, prefix, 2, started=False, beat=3600.0, dead=3600.0) as (a, b):
        for node in (a, b):
            told_scripts(node.store)
        await a.store.start()
        held = await a.holders(6, CAP)
        at(redis, prefix, 1_800_000_000 + jump)
        await b.store.start()
        assert not await b.lets_in(CAP) and b.store.condition.parts == 2
        release(held[0])
        await until(lambda: places(redis, prefix) == 5)
        assert await b.lets_in(CAP) and not a.store.condition.errors


async def test_who_comes_while_others_come_back_waits_no_longer_because_the_clock_went_back(
    own: RedisServer, prefix: str
) -> None:
    own.ask("SET", f"{prefix}:young", "1", "EX", 3600)
    async with nodes(own.url, prefix) as (node,):
        assert await node.lets_in(CAP)


@pytest.mark.parametrize("jump", [3600, -3600])
async def test_a_clock_that_jumps_frees_no_place_and_keeps_none(own: RedisServer, prefix: str, jump: int) -> None:
    at(own, prefix, 1_800_000_000)
    async with nodes(own.url, prefix, 2, started=False) as (a, b):
        for node in (a, b):
            told_scripts(node.store)
            await node.store.start()
        held = await a.holders(4, CAP)
        assert await a.lets_in(ALICE)
        at(own, prefix, 1_800_000_000 + jump)
        assert [await b.lets_in(CAP) for _ in range(4)] == [True, True, False, False]
        assert await b.lets_in(ALICE) or jump < 0
        await until(lambda: int(own.ask("HLEN", f"{prefix}:nodes")) == 2 and a.asked and b.asked)
        refused = denied(await b.take(*[ALICE] * 7)) if jump < 0 else None
        assert refused is None or refused.retry_after <= 3600.0
        at(own, prefix, 1_800_000_000)
        release(held[0])
        await until(lambda: places(own, prefix) == 5)
        assert [await b.lets_in(CAP) for _ in range(2)] == [True, False]
        assert not a.store.condition.errors and not b.store.condition.errors

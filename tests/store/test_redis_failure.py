"""`redis://` when the server is killed, hangs, is slow, full, emptied, somebody else's, or out of reach for one node:
calls are decided in time all the same, and what is lent is exact again when it is back.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from gateway.state.bucket import Rate
from gateway.state.redis import OnFailure
from gateway.state.store import Denied, Place, Tokens
from tests.kit.redis_nodes import Node, asked_again, denied, nodes, places, poll, release
from tests.kit.redis_server import RedisServer
from tests.kit.relay import relay
from tests.kit.waiting import until

CAP = Place("cap", "alice", 6, "alice")
LINE = Place("line", "alice", 1, "alice", line=5)
EVICT = Place("evict", "alice", 1, "alice", evict=True)
ALICE = Tokens("free", "alice", Rate(600.0, 6))


async def test_a_server_that_comes_back_empty_is_told_what_is_lent(own: RedisServer, prefix: str) -> None:
    async with nodes(own.url, prefix, 2) as (a, b):
        held = [*await a.holders(2, CAP), *await b.holders(2, CAP)]
        waits = poll()
        await a.holders(1, LINE)
        assert denied(await b.take(LINE, holder=waits)).queued
        own.kill()
        await until(lambda: not a.asked and not b.asked)
        assert a.store.condition.why and not a.store.condition.answers
        alone = [await node.lets_in(CAP) for node in (a, a, b, b)]
        assert alone == [True, False, True, False], "each has three of six, and holds two"
        release(held[0])
        assert await a.lets_in(CAP)
        own.start()
        await asked_again(a, b)
        assert places(own, prefix) == 7 and not await a.lets_in(CAP) and not await b.lets_in(CAP)
        assert denied(await b.take(LINE)).queued, "who waited still does"
        assert [own.ask("ZCARD", key) for key in own.keys(f"{prefix}:w")] == [2]
        release(held[3])
        await until(lambda: places(own, prefix) == 6)
        assert await b.lets_in(CAP) and not await a.lets_in(CAP)
        assert a.store.condition.answers and not a.store.condition.why and a.store.condition.reasserted >= 3


@pytest.mark.parametrize("on_failure", ["local", "closed", "open"])
async def test_what_is_done_without_a_server_is_what_the_configuration_says(
    own: RedisServer, prefix: str, on_failure: OnFailure
) -> None:
    async with nodes(own.url, prefix, 2, on_failure=on_failure) as (a, _):
        own.kill()
        await until(lambda: not a.asked)
        two = replace(CAP, max=2)
        calls = [poll() for _ in range(3)]
        taken = [await a.take(two, ALICE, holder=call) for call in calls]
        failed = [each.failed for each in taken if each is not None]
        assert (taken.count(None), failed) == {"local": (1, [False] * 2), "closed": (0, [True] * 3), "open": (3, [])}[
            on_failure
        ]
        decided = a.store.condition.decisions
        assert decided[{"local": "alone", "closed": "refused", "open": "open"}[on_failure]] >= 3  # type: ignore[index]
        own.start()
        await asked_again(a)
        assert places(own, prefix) == taken.count(None)
        for call in calls:
            release(call)
        await until(lambda: places(own, prefix) == 0)
        assert [await a.lets_in(two) for _ in range(3)] == [True, True, False]


async def test_a_server_that_hangs_costs_nobody_more_than_the_budget(own: RedisServer, prefix: str) -> None:
    async with nodes(own.url, prefix, budget=0.1, patience=1.0) as (node,):
        (held,) = await node.holders(1, CAP)
        own.freeze()
        calls = [poll() for _ in range(100)]
        began = time.monotonic()
        taken = await asyncio.gather(*(node.take(CAP, ALICE, holder=call) for call in calls))
        assert taken.count(None) == 5 and time.monotonic() - began < 30.0 and not node.asked
        assert node.store.condition.slow and node.store.condition.decisions["alone"] == 100
        assert not await node.lets_in(CAP), "at once, and without asking"
        for _ in range(5000):
            assert not isinstance(node.store.prepare([], []).take(poll(), 0.0), asyncio.Future)
        await until(lambda: "timeout" in node.store.condition.errors or "slow" in node.store.condition.errors)
        own.thaw()
        await asked_again(node)
        assert places(own, prefix) == 6 and not await node.lets_in(CAP)
        release(held)
        for call in calls:
            release(call)
        await until(lambda: places(own, prefix) == 0, "there are no ghosts")
        assert [await node.lets_in(CAP) for _ in range(7)] == [True] * 6 + [False]


async def test_what_was_granted_too_late_is_given_back(redis: RedisServer, prefix: str) -> None:
    async with relay(redis.port) as between, nodes(f"redis://127.0.0.1:{between.port}", prefix, budget=0.1) as (node,):
        between.delay = 0.2
        first, second = poll(), poll()
        await asyncio.gather(node.take(CAP, ALICE, holder=first), node.take(EVICT, holder=second))
        assert node.store.condition.slow
        between.delay = 0.0
        await asked_again(node)
        assert places(redis, prefix) == 2 == len(node.store.mirror.lent), "one place each, and none twice"
        release(first)
        release(second)
        await until(lambda: places(redis, prefix) == 0)


async def test_a_server_that_answers_in_seconds_is_not_asked(redis: RedisServer, prefix: str) -> None:
    async with (
        relay(redis.port) as between,
        nodes(f"redis://127.0.0.1:{between.port}", prefix, budget=0.05, patience=0.5, connect=0.5) as (node,),
    ):
        between.delay = 5.0
        await node.lets_in(CAP)
        assert not node.asked
        await until(lambda: between.connections > 2, "it is tried again and again")
        assert not node.asked
        between.delay = 0.0
        await asked_again(node)
        assert places(redis, prefix) == 1


async def test_one_node_that_is_cut_off_takes_its_share_and_the_others_count_on(own: RedisServer, prefix: str) -> None:
    async with (
        relay(own.port) as between,
        nodes(f"redis://127.0.0.1:{between.port}", prefix, budget=0.1, patience=0.5, connect=0.5) as (a,),
        nodes(own.url, prefix) as (b,),
    ):
        await until(lambda: a.store.condition.parts == 2)
        await a.holders(2, CAP)
        between.cut()
        alone = [await a.lets_in(CAP) for _ in range(4)]
        assert alone.count(True) == 1, "its share is three, and it holds two"
        assert [await b.lets_in(CAP) for _ in range(6)].count(True) == 4, "until it is gone, what it held counts"
        await until(lambda: b.store.condition.parts == 1)
        assert [await b.lets_in(CAP) for _ in range(6)].count(True) == 2
        between.mend()
        await asked_again(a)
        assert places(own, prefix) == 9 and not await a.lets_in(CAP) and not await b.lets_in(CAP)


async def test_who_was_taken_for_dead_comes_back_with_what_it_lent(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        held = await a.holders(6, CAP)
        redis.ask("HDEL", f"{prefix}:nodes", a.store.desk.owner)
        redis.ask("INCR", f"{prefix}:graves")
        assert await b.lets_in(CAP), "it is thought to be dead"
        await until(lambda: a.store.condition.errors["forgotten"])
        await asked_again(a)
        assert places(redis, prefix) == 7 and not await b.lets_in(CAP) and not await a.lets_in(CAP)
        for call in held:
            release(call)
        await until(lambda: places(redis, prefix) == 1)


async def test_a_node_that_comes_while_others_come_back_waits_for_them(own: RedisServer, prefix: str) -> None:
    async with nodes(own.url, prefix, settle=1.0) as (a,), nodes(own.url, prefix, started=False) as (b,):
        await a.holders(6, CAP)
        own.kill()
        own.start()
        await until(lambda: own.ask("EXISTS", f"{prefix}:young"), "the first is back")
        await b.store.start()
        assert not await b.lets_in(CAP)


async def test_calls_that_hang_on_a_poll_of_a_node_that_vanishes_go_on(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2, confirm=0.1) as (a, b):
        await a.holders(1, EVICT)
        a.vanish()
        assert await b.lets_in(EVICT)


async def test_every_call_is_answered_whatever_happens_to_the_connection(own: RedisServer, prefix: str) -> None:
    """And what was lent, and nothing else, is what the server knows in the end."""
    async with relay(own.port) as between:
        url = f"redis://127.0.0.1:{between.port}"
        async with nodes(url, prefix, 2, budget=0.1, patience=0.5, connect=0.5) as group:
            done = asyncio.Event()
            held: list[object] = []

            async def callers(node: Node) -> None:
                while not done.is_set():
                    call = poll()
                    taken = await node.take(CAP, ALICE if len(held) % 3 else CAP, holder=call)
                    assert taken is None or isinstance(taken, Denied)
                    await asyncio.sleep(0.002)
                    if len(held) % 5:
                        release(call)
                    held.append(call)

            work = [asyncio.ensure_future(callers(node)) for node in group for _ in range(10)]
            for _ in range(3):
                between.delay = 0.15
                await asyncio.sleep(0.2)
                between.delay = 0.0
                between.cut()
                await asyncio.sleep(0.2)
                between.mend()
                own.ask("CLIENT", "KILL", "TYPE", "normal")
                await asyncio.sleep(0.2)
            done.set()
            await asyncio.gather(*work)
            await asked_again(*group)
            lent = sum(len(node.store.mirror.lent) for node in group)
            await until(lambda: places(own, prefix) == lent)
            for call in held:
                release(call)  # type: ignore[arg-type]
            await until(lambda: places(own, prefix) == 0)
            assert not any(node.store.mirror.lent for node in group)

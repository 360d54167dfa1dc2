"""`redis://` among nodes that are all well: exact counts whoever asks, one line for all, polls that end elsewhere."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from gateway.call import State
from gateway.state.bucket import Level, Rate
from gateway.state.store import Place, Tokens
from tests.kit.redis_nodes import denied, nodes, poll, release
from tests.kit.redis_server import RedisServer
from tests.kit.waiting import soon, until

RATE = Rate(600.0, 3)
ALICE = Tokens("free", "alice", RATE)
CAP = Place("cap", "alice", 2, "alice")
LINE = replace(CAP, limit="line", max=1, line=2)
EVICT = replace(CAP, limit="evict", max=1, evict=True, grace=30.0)


async def test_what_one_takes_nobody_else_has(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 3) as group:
        taken = await asyncio.gather(*(node.take(ALICE) for node in group for _ in range(3)))
        assert taken.count(None) == 3
        found = denied(await group[2].take(ALICE))
        assert found.demand == ALICE and found.retry_after == pytest.approx(600.0, abs=30.0)
        assert group[2].store.level(ALICE, group[2].store.loop.time()) == Level(0, pytest.approx(600.0, abs=30.0))
        group[0].store.give_back(ALICE, 0.0)
        await until(lambda: redis.ask("GET", redis.keys(f"{prefix}:b")[0]))
        taken = [await node.take(ALICE) for node in group]
        assert taken.count(None) == 1


async def test_a_cap_is_exact_however_many_ask_at_once(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        calls = [poll() for _ in range(200)]
        taken = await asyncio.gather(*((a, b)[at % 2].take(CAP, holder=call) for at, call in enumerate(calls)))
        holders = [call for call, denial in zip(calls, taken, strict=True) if denial is None]
        assert len(holders) == 2
        release(holders[0])
        await until(lambda: redis.ask("ZCARD", redis.keys(f"{prefix}:l")[0]) == 1)
        assert [await node.lets_in(CAP) for node in (b, a)] == [True, False]


async def test_a_call_that_one_limit_refuses_costs_nothing_under_the_others(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        await a.holders(2, CAP)
        call = poll()
        other = replace(CAP, limit="other", max=1)
        assert denied(await b.take(ALICE, other, CAP, holder=call)).demand == CAP
        assert (call.leases, call.charges, call.charged) == ((), (), False)
        await a.holders(3, ALICE)
        assert await a.lets_in(other)


async def test_a_call_knows_what_it_paid_and_holds(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        call = poll()
        assert await node.take(ALICE, CAP, replace(CAP, limit="other"), holder=call) is None
        assert call.charges == ("alice",) and call.charged and len(call.leases) == 1
        assert node.store.held("cap", "alice") == node.store.held("other", "alice") == 1
        for _ in range(3):
            release(call)
        await until(lambda: not redis.keys(f"{prefix}:l"))
        assert not node.store.mirror.lent


async def test_who_waits_anywhere_comes_in_the_order_of_all(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        (holder,) = await a.holders(1, LINE)
        first, second, third = poll(), poll(), poll()
        assert denied(await b.take(LINE, holder=first)).queued and denied(await a.take(LINE, holder=second)).queued
        assert not denied(await a.take(LINE, holder=third)).queued
        release(holder)
        await until(lambda: b.freed, "the first is told")
        assert denied(await a.take(LINE, holder=third)).queued is False
        assert denied(await a.take(LINE, holder=second)).queued
        assert await b.lets_in(LINE, holder=first)
        release(first)
        await until(lambda: ("line", "alice") in a.freed)
        assert await a.lets_in(LINE, holder=second)
        assert not a.store.tickets.all() and not b.store.tickets.all()


async def test_who_leaves_a_line_lets_the_next_one_know(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        (holder,) = await a.holders(1, LINE)
        first, second = poll(), poll()
        assert denied(await a.take(LINE, holder=first)).queued and denied(await b.take(LINE, holder=second)).queued
        release(holder)
        b.freed.clear()
        a.store.leaves(first)
        await until(lambda: b.freed)
        assert await b.lets_in(LINE, holder=second)


async def test_the_oldest_poll_ends_wherever_it_is_before_its_place_is_used(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        (first,) = await a.holders(1, EVICT)
        second = poll()
        asked = asyncio.ensure_future(b.take(replace(EVICT, who="bob"), holder=second))
        await until(lambda: a.ended)
        assert a.ended == [(first, second.id)] and await soon(asked) is None
        refused = denied(await b.take(EVICT))
        assert 25.0 < refused.retry_after <= 30.0 and refused.victim is None, "who was just ended ends nobody"
        assert await b.lets_in(replace(EVICT, who="carol")) and b.ended[0][0] is second


async def test_who_is_ended_for_one_place_makes_room_under_every_cap(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        few, many = replace(EVICT, who="ann"), replace(EVICT, limit="many", max=2, who="ann")
        (oldest,) = await b.holders(1, many)
        (both,) = await a.holders(1, few, many)
        assert await b.lets_in(replace(few, who="bob"), replace(many, who="bob"))
        assert [call for call, _ in a.ended] == [both] and not b.ended and oldest.leases
        await until(lambda: sorted(redis.ask("ZCARD", key) for key in redis.keys(f"{prefix}:l")) == [1, 2])


async def test_a_poll_that_cannot_be_ended_any_more_keeps_its_place(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        two = replace(EVICT, max=2)
        first, second = await a.holders(2, two)
        first.state = State.RELAYING
        assert await b.lets_in(replace(two, who="bob")), "the next oldest is ended"
        assert [call for call, _ in a.ended] == [second]
        (place,) = redis.keys(f"{prefix}:l")
        await until(lambda: redis.ask("ZCARD", place) == 2, "nobody has more than there is")
        third = next(iter(b.store.mirror.lent.values())).call
        third.state = State.RELAYING
        assert denied(await a.take(replace(two, who="dan"))).demand == replace(two, who="dan")
        await until(lambda: redis.ask("ZCARD", place) == 2)
        release(first)
        release(third)
        await until(lambda: not redis.keys(f"{prefix}:l"))


async def test_a_poll_of_the_same_poller_gives_way_even_where_nobody_is_ended(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        one = replace(CAP, max=1)
        (older,) = await node.holders(1, one)
        newer = poll()
        assert await node.take(one, holder=newer, yields=older) is None
        assert not older.leases and len(newer.leases) == 1 and not node.ended
        await until(lambda: redis.ask("ZCARD", redis.keys(f"{prefix}:l")[0]) == 1)
        assert not await node.lets_in(one)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_poll_that_gives_way_keeps_its_place_when_the_newer_one_is_refused(
    redis: RedisServer, prefix: str, elsewhere: bool
) -> None:
    """For it needs the place of a third too, which cannot be ended."""
    async with nodes(redis.url, prefix, 2) as group:
        one, other = replace(CAP, max=1), replace(EVICT, who="bob")
        (older,) = await group[0].holders(1, one)
        (third,) = await group[elsewhere].holders(1, EVICT)
        third.state = State.RELAYING
        assert denied(await group[0].take(one, other, holder=poll(), yields=older)).demand == other
        assert len(older.leases) == 1 and not any(node.ended for node in group)
        await until(lambda: [redis.ask("ZCARD", key) for key in redis.keys(f"{prefix}:l")] == [1, 1])
        assert not await group[1].lets_in(one)
        release(third)
        newer = poll()
        await until(lambda: len(redis.keys(f"{prefix}:l")) == 1)
        assert await group[0].take(one, other, holder=newer, yields=older) is None and not older.leases
        release(newer)
        await until(lambda: not redis.keys(f"{prefix}:l"))


async def test_places_of_a_node_that_vanishes_are_free_again_and_its_tickets_stop_nobody(
    redis: RedisServer, prefix: str
) -> None:
    async with nodes(redis.url, prefix, 3) as (a, b, c):
        await a.holders(1, LINE)
        gone, waits = poll(), poll()
        assert denied(await b.take(LINE, holder=gone)).queued and denied(await c.take(LINE, holder=waits)).queued
        a.vanish()
        b.vanish()
        await until(lambda: c.freed, "whoever waits is told")
        assert await c.lets_in(LINE, holder=waits)
        await until(lambda: c.store.condition.parts == 1)


async def test_a_node_that_ends_takes_nothing_with_it(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, 2) as (a, b):
        await a.holders(2, CAP)
        await a.store.close()
        assert [await b.lets_in(CAP) for _ in range(3)] == [True, True, False]


async def test_every_lease_is_told_again_in_time(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, sweep=0.2) as (node,):
        await node.holders(2, CAP)
        redis.ask("DEL", *redis.keys(f"{prefix}:l"))
        await until(lambda: [redis.ask("ZCARD", key) for key in redis.keys(f"{prefix}:l")] == [2])


async def test_names_are_hashed_and_bounded(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        names = ["alice@example.com", "x" * 100_000, "\udcff\x00\r\n* evil", ""]
        for name in names:
            assert await node.lets_in(
                Tokens("free", name, RATE), replace(CAP, key=name), replace(EVICT, key=name, who=name)
            )
        keys = redis.keys(prefix)
        assert len(keys) == 4 * 5 + 1
        assert not [key for key in keys if not re.fullmatch(rf"{prefix}:(nodes|[ble]:[0-9a-f]{{24}})", key)]
        inside = str([redis.ask("ZRANGE", key, 0, -1) for key in redis.keys(f"{prefix}:[le]")])
        assert "alice" not in inside and "evil" not in inside


async def test_who_only_looks_has_no_key(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        assert node.store.level(ALICE, 0.0) == Level(3, 0.0) and node.store.held("cap", "alice") == 0
        node.store.leaves(poll())
        assert await node.lets_in()
        assert redis.keys(prefix) == [f"{prefix}:nodes"]


async def test_thousands_in_one_turn_of_the_loop_are_all_answered(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix, budget=10.0, patience=20.0) as (node,):
        many = replace(CAP, max=1500)
        taken = await asyncio.gather(
            *(node.take(many, ALICE if at % 2 else replace(ALICE, key="bob")) for at in range(100))
        )
        assert taken.count(None) == 6
        calls = [poll() for _ in range(2000)]
        taken = await asyncio.gather(*(node.take(many, holder=call) for call in calls))
        assert taken.count(None) == 1500 - 6


async def test_a_store_that_was_closed_still_answers(redis: RedisServer, prefix: str) -> None:
    async with nodes(redis.url, prefix) as (node,):
        await node.store.close()
        assert await node.lets_in(CAP)

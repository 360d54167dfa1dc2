"""Calls that wait for a place, on real sockets: the first in line gets it in the moment it is free, and who waits ends
like every other call, by hang-up, deadline, token and drain.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import bearer, hold, route
from tests.kit.limits import alice, bob, cap, limited, outcomes, polled, several, waits
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

WAIT = {"on_excess": '"wait"'}
ASK = '[{ in = "query", name = "ms", unit = "ms" }]'


@pytest.mark.parametrize("how", ["close", "reset", "answer"])
async def test_a_place_goes_to_the_first_in_line(tmp_path: Path, how: str) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=hold()) as (gw, raw),
        several(gw, 3) as crowd,
    ):
        await polled(up, raw, alice())
        for at, one in enumerate(crowd):
            await waits(gw, one, bob(f"/{at}"))
        for at in range(3):
            if how == "answer" or at:
                up.publish()
            else:
                raw.reset() if how == "reset" else await raw.close()
            await until(lambda at=at: len(up.requests) == at + 2 and up.held == 1)
            assert {one.target for one in up.requests} == {"/", *(f"/{one}" for one in range(at + 1))}


async def test_fifty_wait_for_one_place_and_never_two_are_at_the_upstream(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', max_waiting="50", **WAIT), poll=hold()) as (gw, raw),
        several(gw, 51) as crowd,
    ):
        await polled(up, raw, alice())
        for at, one in enumerate(crowd[:50]):
            await waits(gw, one, bob(f"/{at}"))
        refused = await crowd[50].ask(bob())
        assert (refused.status, int(refused.one("Retry-After") or 0) >= 1) == (429, True)
        for at, one in enumerate([raw, *crowd[:50]]):
            await until(lambda at=at: len(up.requests) == at + 1 and up.held == 1)
            assert up.publish() == 1
            assert (await one.read_answer()).status == 200
        assert await outcomes(gw, 52) == {"news": 51, "capped": 1}
        assert gw.app._store.size == 0


async def test_an_ordinary_call_waits_no_longer_than_its_answer_may_take(tmp_path: Path) -> None:
    names = ["signed-in", "limits"]
    routes = route("slow", "/slow", names) + route("quick", "/quick", names, extra='response_timeout = "300ms"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap("concurrency_cap", **WAIT), routes=routes) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/slow"))
        refused = await other.ask(alice("/quick"))
        assert (refused.status, int(refused.one("Retry-After") or 0) >= 1) == (429, True)
        assert json.loads(bytes(refused.body))["type"] == "urn:longpoll-gateway:too_many_calls"
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("capped", 0) and record["waited"] > 0.25
        up.publish()
        assert (await raw.read_answer()).status == 200


async def test_a_poll_that_waited_in_vain_gets_its_no_news(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=hold(ask=ASK, margin='"100ms"')) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/?ms=9000"))
        found = await other.ask(bob("/?ms=400"))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        record = await gw.record()
        assert (record["outcome"], record["blame"], record["attempts"], record["held"]) == ("blank", "none", 0, 0)
        assert 0.2 < record["waited"] <= record["took"] and "endpoint" not in record


async def test_a_poll_that_waited_in_vain_is_refused_where_we_may_not_speak(tmp_path: Path) -> None:
    poll = hold(ask=ASK, over_max='"reject"', margin='"100ms"', empty='{ answer = "origin" }', replay='"destructive"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=poll) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/?ms=9000"))
        found = await other.ask(bob("/?ms=400"))
        assert found.status == 429 and int(found.one("Retry-After") or 0) >= 1
        record = await gw.record()
        assert (record["outcome"], record["blame"]) == ("capped", "downstream")


async def test_a_poll_whose_token_ends_while_it_waits(tmp_path: Path) -> None:
    more = 'leeway = "0s"\n'
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=hold(margin='"100ms"'), provider=more) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice())
        short = get("/", bearer("bob", ttl=2))
        found = await other.ask(short)
        assert (found.status, bytes(found.body)) == (200, b"[]")
        assert (await gw.record())["outcome"] == "expired" and len(up.requests) == 1


async def test_who_waits_when_the_gateway_drains_is_told_no_news(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=hold(), server='drain = "400ms"') as (gw, raw),
        several(gw, 2) as crowd,
    ):
        await polled(up, raw, alice())
        for one in crowd:
            await waits(gw, one, bob())
        draining = asyncio.ensure_future(gw.app.drain())
        for one in (raw, *crowd):
            found = await one.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[]", "close")
        await draining
        assert await outcomes(gw, 3) == {"drained": 3}
        assert gw.app._store.size == 0


async def test_who_waits_takes_no_room_at_the_upstream(tmp_path: Path) -> None:
    routes = route("capped", "/capped", ["signed-in", "poll", "limits"]) + route("free", "/free", ["poll"])
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(**WAIT), poll=hold(), routes=routes, upstream="max_held = 2") as (gw, raw),
        several(gw, 5) as crowd,
    ):
        await polled(up, raw, alice("/capped"))
        for one in crowd[:3]:
            await waits(gw, one, alice("/capped"))
        await polled(up, crowd[3], get("/free"))
        assert (await crowd[4].ask(get("/free"))).status == 503


async def test_what_was_sent_ahead_is_served_after_a_wait(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, cap(per='"route"', **WAIT), poll=hold()) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice())
        await waits(gw, other, bob("/one") + bob("/two"))
        assert up.publish() == 1
        for name in ("/one", "/two"):
            await until(lambda name=name: any(one.target == name for one in up.requests) and up.held == 1)
            assert up.publish() == 1
            assert (await other.read_answer()).status == 200


async def test_a_poll_that_waited_may_make_room_at_its_turn(tmp_path: Path) -> None:
    tabs, room = cap(on_excess='"evict-oldest"'), cap(most=2, per='"route"', **WAIT)
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, tabs, room, poll=hold()) as (gw, first),
        several(gw, 2) as (second, other),
    ):
        await polled(up, first, alice())
        await polled(up, other, bob())
        await waits(gw, second, alice("/second"))
        assert up.held == 2, "nobody is ended for a poll that has to wait"
        other.reset()
        assert bytes((await first.read_answer()).body) == b"[]"
        await until(lambda: len(up.requests) == 3 and up.held == 1)
        up.publish()
        assert (await second.read_answer()).status == 200
        assert await outcomes(gw, 3) == {"client_gone": 1, "evicted": 1, "news": 1}

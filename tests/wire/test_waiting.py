"""Polls that wait for a token, on real sockets: they are listed, go in the order in which they came and with what is
left of their hold, and pay only when they go.
"""

from __future__ import annotations

from pathlib import Path

from gateway.edge.http1 import UPLOAD_BUFFER
from tests.kit.gateways import bearer, hold
from tests.kit.limits import alice, bob, left, limit, limited, polled, several, statuses, waiting, waits
from tests.kit.raw import client, get, post
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

DELAY = {"mode": '"delay"', "burst": "1"}
ASK = '[{ in = "query", name = "ms", unit = "ms" }]'


async def test_a_poll_waits_for_its_token_out_of_its_own_hold(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("1/s", **DELAY), poll=hold(ask=ASK, rewrite="true")) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/?ms=10000"))
        await waits(gw, other, alice("/?ms=10000"))
        (listed,) = [one for one in await gw.held() if one["state"] == "waiting"]
        assert (listed["consumer"], listed["endpoint"], listed["hold_granted"]) == ("alice", None, 10.0)
        await until(lambda: up.held == 2)
        asked = [int(request.target.partition("=")[2]) for request in up.requests]
        assert up.publish() == 2
        assert left(await other.read_answer()) == [0]
        records = await gw.records(2)
        (record,) = [one for one in records if "waited" in one]
        assert record["outcome"] == "news" and record["waited"] > 0.5
        assert asked[0] == 10_000 and abs(asked[1] - 1000 * (10 - record["waited"])) < 100
        assert record["work"] < record["took"] - record["waited"] + 0.01


async def test_polls_go_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("10/s", **DELAY), poll=hold()) as (gw, _),
        several(gw, 6) as crowd,
    ):
        for at, raw in enumerate(crowd):
            await raw.send(alice(f"/{at}"))
            await until(lambda at=at: waiting(gw) + len(up.requests) == at + 1)
        arrived: list[str] = []
        for at in range(6):
            await until(lambda at=at: len(up.requests) > at)
            arrived += sorted({one.target for one in up.requests} - set(arrived))
        assert arrived == [f"/{at}" for at in range(6)]


async def test_who_hangs_up_while_he_waits_has_paid_nothing_and_keeps_nobody(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("1/s", **DELAY), poll=hold()) as (gw, raw),
        several(gw, 2) as (first, second),
    ):
        await polled(up, raw, alice())
        await waits(gw, first, alice("/first"))
        await waits(gw, second, alice("/second"))
        first.reset()
        record = await gw.record()
        assert (record["outcome"], record["path"], record["attempts"]) == ("client_gone", "/first", 0)
        await until(lambda: len(up.requests) == 2)
        assert up.requests[1].target == "/second"
        up.publish()
        assert (await second.read_answer()).status == 200
        assert max(one.get("waited", 0) for one in await gw.records(3)) < 1.9, "it waited for one token, not for two"


async def test_a_token_that_comes_back_is_not_waited_for(tmp_path: Path) -> None:
    rates = limit("6/min", refund_empty="true", **DELAY)
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, rates, poll=hold(ask=ASK, absent='"19s"', margin='"200ms"')) as (gw, raw),
        client(gw.port) as other,
    ):
        await polled(up, raw, alice("/?ms=300"))
        await waits(gw, other, alice())
        assert bytes((await raw.read_answer()).body) == b"[]"
        await until(lambda: len(up.requests) == 2)
        up.publish()
        assert (await other.read_answer()).status == 200
        assert (await gw.records(2))[1]["waited"] < 9


async def test_an_ordinary_call_is_refused_and_told_when_its_turn_would_be(tmp_path: Path) -> None:
    poll = hold(when='["query:poll present"]', absent='"18s"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("12/min", **DELAY), poll=poll) as (gw, raw),
        several(gw, 3) as crowd,
    ):
        await polled(up, raw, alice("/?poll"))
        for one in crowd[:2]:
            await waits(gw, one, alice("/?poll=1"))
        refused = await crowd[2].ask(alice("/"))
        assert refused.status == 429 and 10 < int(refused.one("Retry-After") or 0) <= 15 * 1.2 + 2
        assert len(up.requests) == 1


async def test_a_stranger_does_not_wait(tmp_path: Path) -> None:
    rates = limit("1/hour", per='"address"', **DELAY)
    async with HoldingUpstream() as up, limited(up, tmp_path, rates, poll=hold()) as (gw, raw):
        assert await statuses(raw, *[get("/", "Authorization: Bearer x.y.z")] * 3) == [401] * 3
        await polled(up, raw, alice())
        async with client(gw.port) as other:
            assert (await other.ask(bob())).status == 429, "and whose turn comes too late is told so at once"


async def test_the_body_of_a_poll_that_waits_is_not_read(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("1/s", **DELAY), poll=hold()) as (gw, raw),
        several(gw, 2) as (big, polite),
    ):
        await polled(up, raw, alice())
        body = b"x" * (4 * 1024 * 1024)
        big.writer.write(post(body, "/big", bearer()))
        await until(lambda: waiting(gw) == 1)
        await waits(gw, polite, get("/", bearer(), "Expect: 100-continue", "Content-Length: 2", method="POST"))
        (held,) = [one for one in gw.app._edge.connections if one.call is not None and one.call.path == "/big"]
        assert len(held._buffer) <= UPLOAD_BUFFER + 256 * 1024
        assert polite.left == b"" and len(up.requests) == 1
        await until(lambda: len(up.requests) == 2 and up.requests[1].complete)
        assert bytes(up.requests[1].body) == body
        await until(lambda: len(up.requests) == 3)
        await polite._fill()
        assert polite.left.startswith(b"HTTP/1.1 100 Continue\r\n")

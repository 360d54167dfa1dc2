"""Polls that have no end of their own: what ends them, and that nothing else does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, gateway_process, hold, process_config, route
from tests.kit.polls import end
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, chunked
from tests.kit.waiting import until

BEATING = get("/?heartbeat=100&timeout=1")
DAY = 86_400


def tables(*policies: str, **values: object) -> dict[str, Any]:
    """A bounded poll is cut after 200 ms here, an unbounded one is not."""
    dialect: dict[str, object] = {
        "unbounded": '["query:heartbeat present"]',
        "ask": '[{ in = "query", name = "timeout", unit = "ms" }]',
        "min": '"100ms"',
        "max": '"100ms"',
        "absent": '"100ms"',
        "margin": '"100ms"',
        "rewrite": "true",
    }
    return {
        "more": hold(**dialect | values) + SIGNED_IN,
        "routes": route(policies=[*policies, "poll"]),
        "upstream": 'response_timeout = "100ms"\nbody_idle_timeout = "100ms"',
    }


async def test_no_clock_of_ours_ends_it_before_its_answer_begins(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables()) as (gw, raw), client(gw.port) as bounded:
        await raw.send(BEATING)
        await until(lambda: up.held == 1)
        assert (await bounded.ask(get("/?timeout=1"))).status == 200
        (call,) = await gw.held()
        assert DAY - 60 < call["ends_in"] <= DAY + 1 and call["hold_asked"] is None
        assert up.requests[0].target == "/?heartbeat=100&timeout=1", "it is not told another wait"
        up.publish(b'["news"]')
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        news = (await gw.records(2))[1]
        assert (news["outcome"], news["note"]) == ("news", "unbounded_ask")


async def test_its_client_ends_it(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await raw.send(BEATING)
        await until(lambda: up.held == 1)
        await raw.close()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_gone"


async def test_the_operator_ends_it_in_no_news(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await raw.send(BEATING)
        await until(lambda: up.held == 1)
        assert await end(gw, all=True) == {"ended": 1, "not_endable": 0}
        assert bytes((await raw.read_answer()).body) == b"[]"


async def test_its_token_ends_it(tmp_path: Path) -> None:
    table = tables("signed-in")
    table["more"] = table["more"].replace("keys =", 'leeway = "0s"\nkeys =')
    async with HoldingUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        found = await raw.ask(get("/?heartbeat=100", bearer(ttl=2)))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        record = await gw.record()
        assert (record["outcome"], record["clamped_by"]) == ("expired", "token")
        await until(lambda: up.live == 0)


async def test_the_edge_in_front_ends_it(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, server='front = "1300ms"', **tables()) as (gw, raw):
        found = await raw.ask(BEATING)
        assert (found.status, bytes(found.body)) == (200, b"[]")
        record = await gw.record()
        assert (record["outcome"], record["clamped_by"]) == ("blank", "front")


@pytest.mark.parametrize(("who", "outcome", "status"), [("template", "drained", 200), ("origin", "drained", 503)])
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_drain_ends_it(tmp_path: Path, who: str, outcome: str, status: int) -> None:
    changed = {} if who == "template" else {"empty": '{ answer = "origin" }'}
    text = {**tables(**changed), "server": 'drain = "500ms"\nstop_grace = "10s"'}
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, **text), tmp_path) as gw:
            async with client(gw.port) as raw:
                await raw.send(BEATING)
                await until(lambda: up.held == 1)
                gw.terminate()
                assert (await raw.read_answer()).status == status
                assert await gw.exit_code() == 0
            assert (await gw.record())["outcome"] == outcome


async def test_once_its_answer_has_begun_heartbeats_keep_it(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"[", end=False)
    beats: list[asyncio.Future[bytes]] = [asyncio.get_running_loop().create_future() for _ in range(8)]
    table = tables(early_headers="true") | {"upstream": 'body_idle_timeout = "1s"'}
    async with ScriptedUpstream([head, *beats]) as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(BEATING)
        await raw.seen(b"[")
        for at, beat in enumerate(beats):
            await asyncio.sleep(0.2)
            beat.set_result(chunked(b"\n" * (at + 1), end=False))
            await raw.seen(b"\n" * (at + 1) + b"\r\n")
        with pytest.raises(Cut):
            await raw.read_answer()
        record = await gw.record()
        assert (record["outcome"], record["note"]) == ("truncated", "body_idle") and record["held"] > 2

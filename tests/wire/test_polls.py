"""Holds on real sockets: who says "no news", when a quiet upstream counts as hung, how each hold is recorded, and
what is asked of the upstream. Holds are tenths of seconds here.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

POLL = {"more": hold(), "routes": route(policies=["poll"])}
SHORT = {"absent": '"200ms"', "margin": '"100ms"'}


def polls(**values: str) -> dict[str, str]:
    return {"more": hold(**values), "routes": route(policies=["poll"])}


async def test_news_arrives_while_it_is_held(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **POLL) as (gw, raw):
        await raw.send(get("/updates?since=7"))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert held["route"] == "all"
        assert up.publish(b'[{"id": 8}]') == 1
        assert json.loads(bytes((await raw.read_answer()).body)) == [{"id": 8}]
        record = await gw.record()
        assert (record["outcome"], record["status"], record["blame"]) == ("news", 200, "none")
        assert record["hold_granted"] == pytest.approx(10)
        assert await gw.held() == []


@pytest.mark.parametrize("empty", [answer(b"", "204 No Content", length=False), answer(b"[]"), answer(b" [ ] \n")])
async def test_no_news_of_the_upstream_is_told_from_news(tmp_path: Path, empty: bytes) -> None:
    async with ScriptedUpstream((empty,), (answer(b"[1]"),)) as up, stage(up, tmp_path, **POLL) as (gw, raw):
        found = await raw.ask(get())
        assert found.status in (200, 204)
        await raw.ask(get())
        assert [record["outcome"] for record in await gw.records(2)] == ["empty", "news"]


async def test_the_upstream_is_told_how_long_the_hold_is(tmp_path: Path) -> None:
    ask = '[{ in = "query", name = "timeout", unit = "s" }]'
    async with ScriptedUpstream() as up, stage(up, tmp_path, **polls(ask=ask, rewrite="true")) as (gw, raw):
        await raw.ask(get("/?timeout=5&x=1"))
        await raw.ask(get("/?timeout=90&x=1"))
        asked = [float(request.one("Gateway-Hold") or 0) for request in up.requests]
        assert asked == [pytest.approx(5, abs=0.5), pytest.approx(20, abs=0.5)]
        assert up.requests[0].target == "/?timeout=5&x=1"
        assert up.requests[1].target == "/?timeout=20&x=1"
        records = await gw.records(2)
        assert [record["hold_asked"] for record in records] == [5, 90]
        assert records[0]["clamped_by"] is None
        assert records[1]["clamped_by"] == "max"


async def test_a_hung_upstream_is_overrun_twice_and_then_504(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **polls(**SHORT)) as (gw, raw):
        found = [await raw.ask(get()) for _ in range(4)]
        assert [one.status for one in found] == [200, 200, 504, 504]
        assert [bytes(one.body) for one in found[:2]] == [b"[]", b"[]"]
        assert found[0].one("Content-Type") == "application/json"
        assert found[0].one("Cache-Control") == "no-store"
        outcomes = [record["outcome"] for record in await gw.records(4)]
        assert outcomes[:2] == ["overrun", "overrun"]
        assert outcomes[3] == "upstream_timeout"
        await until(lambda: up.live == 0)


async def test_a_real_answer_between_forgives_overruns(tmp_path: Path) -> None:
    quiet = asyncio.Event()
    scripts: list[tuple[Step, ...]] = [(quiet,), (quiet,), (answer(b"[1]"),), (quiet,), (quiet,)]
    async with ScriptedUpstream(*scripts) as up, stage(up, tmp_path, **polls(**SHORT)) as (_, raw):
        assert [(await raw.ask(get())).status for _ in range(5)] == [200] * 5


@pytest.mark.parametrize("who", ["origin", "never"])
async def test_without_a_template_a_late_upstream_is_504(tmp_path: Path, who: str) -> None:
    table = polls(**SHORT, empty=f'{{ answer = "{who}" }}', replay='"destructive"')
    async with HoldingUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        assert (await raw.ask(get())).status == 504
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "upstream_timeout"
        assert len(up.requests) == 1


async def test_a_template_repeats_the_cursor_of_its_request(tmp_path: Path) -> None:
    empty = (
        '{ answer = "template", status = 200, headers = { Content-Type = "application/json" }, '
        'body = \'{"since": "{query:since}"}\', needs = ["query:since present"] }'
    )
    async with HoldingUpstream() as up, stage(up, tmp_path, **polls(**SHORT, empty=empty)) as (_, raw):
        found = await raw.ask(get("/?since=a%22b%5C"))
        assert json.loads(bytes(found.body)) == {"since": 'a"b\\'}
        assert (await raw.ask(get("/"))).status == 504


async def test_a_request_outside_the_dialect_is_an_ordinary_call(tmp_path: Path) -> None:
    table = polls(when='["query:last_event_id present"]')
    async with ScriptedUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.ask(get("/"))
        await raw.ask(get("/?last_event_id=1"))
        assert [record["outcome"] for record in await gw.records(2)] == ["answered", "news"]
        assert up.requests[0].one("Gateway-Hold") is None
        assert up.requests[1].one("Gateway-Hold") is not None


async def test_max_held_is_a_503_at_once(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, upstream="max_held = 2", **POLL), tmp_path) as gw,
        client(gw.port) as one,
        client(gw.port) as two,
        client(gw.port) as three,
    ):
        await one.send(get())
        await two.send(get())
        await until(lambda: up.held == 2)
        found = await three.ask(get())
        assert found.status == 503
        assert int(found.one("Retry-After") or 0) >= 1
        up.publish()
        assert (await one.read_answer()).status == 200
        await three.send(get())
        await until(lambda: up.held == 1)
        assert [record["outcome"] for record in await gw.records(3)].count("overloaded") == 1

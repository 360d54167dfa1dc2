"""How long a client asks to be held, in every place and unit, what is granted and what limits it, and how all of it
stands in the record.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until


def polls(**values: str) -> dict[str, str]:
    return {"more": hold(**values), "routes": route(policies=["poll"])}


def asked_in(where: str, name: str, unit: str) -> str:
    return f'[{{ in = "{where}", name = "{name}", unit = "{unit}" }}]'


WISHES = [
    ("query", "wait", "s", "/?wait=90", [], 90, "/?wait=20", []),
    ("query", "wait", "ms", "/?wait=2500", [], 2.5, "/?wait=2500", []),
    ("query", "wait", "ms", "/?wait=90000&x=1", [], 90, "/?wait=20000&x=1", []),
    ("query", "wait", "duration", "/?wait=1m30s", [], 90, "/?wait=20s", []),
    ("query", "wait", "duration", "/?wait=500ms", [], 0.5, "/?wait=500ms", []),
    ("query", "wait", "iso", "/?wait=PT1M30S", [], 90, "/?wait=PT20S", []),
    ("header", "X-Wait", "s", "/", ["X-Wait: 90"], 90, "/", ["X-Wait: 20"]),
    ("header", "X-Wait", "ms", "/", ["x-wait: 1500"], 1.5, "/", ["x-wait: 1500"]),
    ("header-item", "Prefer/wait", "s", "/", ["Prefer: wait=90"], 90, "/", ["Prefer: wait=20"]),
]


@pytest.mark.parametrize(
    ("where", "name", "unit", "target", "fields", "asked", "forwarded", "told"),
    WISHES,
    ids=[f"{w[0]} {w[2]} {w[3]}" for w in WISHES],
)
async def test_a_wish_is_read_clamped_and_written_where_it_stood(
    tmp_path: Path, where: str, name: str, unit: str, target: str, fields: list[str], asked: float, forwarded: str,
    told: list[str],
) -> None:  # fmt: skip
    table = polls(ask=asked_in(where, name, unit), rewrite="true")
    async with ScriptedUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        assert (await raw.ask(get(target, *fields))).status == 200
        seen = up.requests[0]
        assert seen.target == forwarded
        assert [line for line in told if seen.all(line.partition(":")[0]) != [line.partition(": ")[2]]] == []
        record = await gw.record()
        granted = min(asked, 20)
        assert (record["hold_asked"], record["hold_granted"]) == (asked, granted)
        assert record["clamped_by"] == ("max" if asked > 20 else None)
        assert float(seen.one("Gateway-Hold") or 0) == granted


async def test_the_first_place_that_has_a_wish_counts(tmp_path: Path) -> None:
    places = '[{ in = "query", name = "wait", unit = "s" }, { in = "header", name = "X-Wait", unit = "ms" }]'
    async with ScriptedUpstream() as up, stage(up, tmp_path, **polls(ask=places, rewrite="true")) as (gw, raw):
        await raw.ask(get("/?wait=3", "X-Wait: 4000"))
        await raw.ask(get("/", "X-Wait: 4000"))
        assert [record["hold_asked"] for record in await gw.records(2)] == [3, 4]


async def test_a_wish_too_long_is_400_where_the_dialect_rejects_it(tmp_path: Path) -> None:
    table = polls(ask=asked_in("query", "wait", "s"), over_max='"reject"', rewrite="true")
    async with ScriptedUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        assert (await raw.ask(get("/?wait=20"))).status == 200
        found = await raw.ask(get("/?wait=20.001"))
        assert (found.status, found.one("Connection")) == (400, None)
        assert json.loads(bytes(found.body))["type"].endswith("hold_too_long")
        assert (await raw.ask(get("/?wait=1"))).status == 200
        records = await gw.records(3)
        assert [record["outcome"] for record in records] == ["news", "bad_request", "news"]
        assert records[1]["attempts"] == 0
        assert len(up.requests) == 2


async def test_a_wish_too_long_passes_where_the_dialect_lets_it(tmp_path: Path) -> None:
    table = polls(ask=asked_in("query", "wait", "s"), over_max='"pass"', rewrite="true")
    async with HoldingUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(get("/?wait=90"))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert (held["hold_granted"], held["clamped_by"]) == (90, None)
        assert 60 < held["ends_in"] <= 91
        assert up.requests[0].target == "/?wait=90"
        up.publish()
        assert (await raw.read_answer()).status == 200


@pytest.mark.parametrize("field", ['Signature-Input: sig1=("@query")', "Authorization: AWS4-HMAC-SHA256 Credential=x"])
async def test_of_a_signed_request_no_wish_is_changed(tmp_path: Path, field: str) -> None:
    """The upstream holds for as long as it was asked to; we end the poll when ours is over, and it is not late then."""
    table = polls(
        ask=asked_in("query", "wait", "s"), rewrite="true", signed='["header:Authorization matches ^AWS4"]',
        max='"300ms"', absent='"300ms"', margin='"100ms"',
    )  # fmt: skip
    async with HoldingUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        found = await raw.ask(get("/?wait=90", field))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        assert up.requests[0].target == "/?wait=90"
        record = await gw.record()
        assert (record["outcome"], record["hold_asked"], record["hold_granted"]) == ("blank", 90, 0.3)
        await until(lambda: up.live == 0)


async def test_a_poll_without_an_end_of_its_own_outlives_every_maximum(tmp_path: Path) -> None:
    table = polls(ask=asked_in("query", "wait", "s"), rewrite="true", unbounded='["query:follow present"]')
    async with HoldingUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(get("/?wait=90&follow"))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert held["hold_granted"] == 86_400
        assert up.requests[0].target == "/?wait=90&follow"
        up.publish(b'[{"id": 8}]')
        assert (await raw.read_answer()).status == 200
        assert (await gw.record())["outcome"] == "news"


async def test_a_hold_ends_before_the_edge_in_front_gives_up(tmp_path: Path) -> None:
    """Where a long wish may pass, only the front's own clock is left to end it."""
    server = 'front = { name = "edge", idle_timeout = "30s" }'
    table = polls(ask=asked_in("query", "wait", "s"), over_max='"pass"', rewrite="true")
    async with HoldingUpstream() as up, stage(up, tmp_path, server=server, **table) as (gw, raw):
        await raw.send(get("/?wait=90"))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert held["clamped_by"] == "front"
        assert held["ends_in"] <= 29, "a second before the edge's clock"
        assert up.requests[0].target in ("/?wait=28", "/?wait=27"), "and the margin before that"
        up.publish()
        assert (await raw.read_answer()).status == 200
        assert (await gw.record())["clamped_by"] == "front"


async def test_the_edge_in_front_ends_a_hold_in_no_news_and_not_in_a_504(tmp_path: Path) -> None:
    server = 'front = { name = "edge", idle_timeout = "1500ms" }'
    clocks = {"max": '"300ms"', "absent": '"300ms"', "margin": '"100ms"'}
    table = polls(ask=asked_in("query", "wait", "s"), over_max='"pass"', rewrite="false", **clocks)
    async with HoldingUpstream() as up, stage(up, tmp_path, server=server, **table) as (gw, raw):
        found = await raw.ask(get("/?wait=90"))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        record = await gw.record()
        assert (record["outcome"], record["clamped_by"]) == ("blank", "front")
        await until(lambda: up.live == 0)


async def test_a_record_tells_the_hold_from_the_work(tmp_path: Path) -> None:
    table = {
        "more": SIGNED_IN.replace("[policy.", 'tenant = "org"\n[policy.')
        + hold(ask=asked_in("query", "wait", "s"), rewrite="true", cursor='{ request = "query:since" }'),
        "routes": route("updates", "/updates", ["signed-in", "poll"]),
        "log": 'query_values = ["since"]',
    }
    async with HoldingUpstream() as up, gateway(config(up.port, **table), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get("/updates?since=41&wait=90&other=x", bearer(org="acme")))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        await asyncio.sleep(0.2)  # what the record shall call held
        up.publish(b'[{"id": 42}]')
        assert (await raw.read_answer()).status == 200
        record = await gw.record()
    assert set(record) == {
        "v", "time", "id", "trace", "route", "method", "path", "status", "outcome", "blame", "level", "peer", "took",
        "work", "bytes_in", "bytes_out", "attempts", "consumer", "tenant", "query", "query_values", "endpoint",
        "first_byte", "news_latency", "dialect", "hold_asked", "hold_granted", "clamped_by", "held", "cursor",
    }  # fmt: skip
    expected = {
        "v": 1, "route": "updates", "method": "GET", "path": "/updates", "status": 200, "outcome": "news",
        "blame": "none", "level": "info", "peer": "127.0.0.1", "bytes_in": 0, "bytes_out": 12, "attempts": 1,
        "consumer": "alice", "tenant": "acme", "query": ["since", "wait", "other"], "query_values": {"since": "41"},
        "endpoint": f"127.0.0.1:{up.port}", "dialect": "poll", "hold_asked": 90, "hold_granted": 20,
        "clamped_by": "max", "cursor": "41",
    }  # fmt: skip
    assert {key: record[key] for key in expected} == expected
    assert record["held"] >= 0.2
    assert record["took"] == pytest.approx(record["held"] + record["work"], abs=2e-6)
    assert record["held"] <= record["first_byte"] <= record["took"]
    assert record["id"] == record["trace"] == up.requests[0].one("X-Request-Id") == held["id"]
    assert (up.requests[0].one("traceparent") or "").split("-")[1] == record["trace"]


async def test_an_ordinary_call_holds_nothing(tmp_path: Path) -> None:
    async with ScriptedUpstream((answer(b"ok"),)) as up, stage(up, tmp_path) as (gw, raw):
        await raw.ask(get())
        record = await gw.record()
        assert not {"held", "hold_asked", "hold_granted", "clamped_by", "dialect", "cursor"} & set(record)
        assert record["work"] == record["took"]

"""`GET /api/held` and `/api/upstreams` under real polls: who is listed, in what order, a page at a time; and the ids of
a page end exactly those polls.
"""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.limits import cap, limited, waits
from tests.kit.polls import crowd, end, listed, polling, requests
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

FIELDS = {
    "id", "route", "consumer", "tenant", "peer", "method", "path", "state", "poll", "since", "ends_in", "hold_asked",
    "hold_granted", "clamped_by", "endpoint", "attempts", "waited", "endable",
}  # fmt: skip


@pytest.mark.parametrize("key", ["route", "consumer", "tenant", "endpoint", "peer", "id", "q"])
async def test_a_filter_lists_exactly_what_it_means(tmp_path: Path, key: str) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
    ):
        await until(lambda: up.held + other.held == 6)
        everybody = await gw.held()
        assert {frozenset(call) for call in everybody} == {frozenset(FIELDS)}
        value = everybody[0]["consumer" if key == "q" else key]
        meant = [call["id"] for call in everybody if call["consumer" if key == "q" else key] == value]
        found = await listed(gw, **{key: value})
        assert [call["id"] for call in found["calls"]] == meant, "in the same order"
        assert (found["held"], found["matching"], found["next"]) == (6, len(meant), None)
        assert 0 < len(meant) < 6


async def test_a_walk_through_all_pages_sees_everybody_once(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
        polling(gw, *requests()) as leaving,
    ):
        await until(lambda: up.held + other.held == 12)
        for sort in ("-since", "consumer", "-peer", "ends_in", "path"):
            whole = [call["id"] for call in (await listed(gw, sort=sort))["calls"]]
            pages, found = list[str](), await listed(gw, sort=sort, limit=5)
            while True:
                pages += [call["id"] for call in found["calls"]]
                if found["next"] is None:
                    break
                found = await listed(gw, sort=sort, limit=5, cursor=found["next"])
            assert pages == whole
            assert len(pages) == 12
        first = await listed(gw, limit=2)
        for one in leaving[:3]:
            await one.close()
        await until(lambda: up.held + other.held == 9)
        rest = await listed(gw, limit=1000, cursor=first["next"])
        assert [call["id"] for call in first["calls"] + rest["calls"]] == [call["id"] for call in await gw.held()]


async def test_what_a_page_shows_can_be_ended_by_its_ids(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *requests()),
    ):
        await until(lambda: up.held + other.held == 6)
        page = await listed(gw, route="b", sort="consumer", limit=2)
        assert [call["endable"] for call in page["calls"]] == [True, True]
        for call in page["calls"]:
            assert await end(gw, id=call["id"]) == {"ended": 1, "not_endable": 0}
        assert [call["consumer"] for call in (await listed(gw, route="b"))["calls"]] == ["eve"]
        assert await end(gw, q="EVE", state="parked", poll=True) == {"ended": 2, "not_endable": 0}


async def test_calls_that_wait_in_line_are_told_from_those_that_are_parked(tmp_path: Path) -> None:
    line = cap(on_excess='"wait"', per='"route"')
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, line, poll=hold(), signed=False) as (gw, raw),
        client(gw.port) as second,
    ):
        await raw.send(get("/first"))
        await until(lambda: up.held == 1)
        await waits(gw, second, get("/second"))
        found = await listed(gw, state="waiting")
        assert [(call["path"], call["endpoint"]) for call in found["calls"]] == [("/second", None)]
        assert found["calls"][0]["waited"] > 0
        assert [call["path"] for call in (await listed(gw, state="parked"))["calls"]] == ["/first"]


async def test_ordinary_calls_are_told_from_polls(tmp_path: Path) -> None:
    routes = route("polls", "/poll", ["poll"]) + route("rest", "/rest")
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=routes), tmp_path) as gw,
        polling(gw, get("/poll"), get("/rest")),
    ):
        await until(lambda: up.held == 2)
        assert [call["route"] for call in (await listed(gw, poll="true"))["calls"]] == ["polls"]
        (rest,) = (await listed(gw, poll="false"))["calls"]
        assert (rest["route"], rest["endable"], rest["ends_in"]) == ("rest", False, None)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=x", "query: limit: is of the wrong kind; write a whole number, such as limit = 100"),
        ("limit=1001", "query: limit: must be at most 1000; write 1000"),
        ("limit=99999999999999999999", "query: limit: is of the wrong kind; write a whole number, such as limit = 100"),
        ("rute=x", "query: rute: unknown key; did you mean 'route'?"),
        ("cursor=x", 'query: cursor: is none that was given here; write the "next" of the page before, or leave it out'),
        ("poll=1", "query: poll: is of the wrong kind; write true or false"),
    ],
)  # fmt: skip
async def test_a_question_that_cannot_be_meant_is_told_what_to_write(tmp_path: Path, query: str, said: str) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        found = await raw.ask(get(f"/api/held?{query}"))
        assert found.status == 400
        assert json.loads(bytes(found.body)) == {"error": "the query cannot be used", "problems": [said]}
        twice = await raw.ask(get("/api/held?route=a&route=b"))
        assert (twice.status, json.loads(bytes(twice.body))["error"]) == (400, "a parameter is given twice")


async def test_all_who_ask_at_once_get_their_page(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, *[get("/")] * 40),
    ):
        await until(lambda: up.held == 40)
        pages = await asyncio.gather(*[listed(gw, limit=3, sort="id") for _ in range(12)])
        assert [page["matching"] for page in pages] == [40] * 12
        assert len({tuple(call["id"] for call in page["calls"]) for page in pages}) == 1


async def test_upstreams_tell_what_every_endpoint_carries(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        ScriptedUpstream() as other,
        gateway(config(up.port, other.port, upstream="max_held = 7"), tmp_path) as gw,
        polling(gw, get("/1"), get("/2")),
    ):
        await until(lambda: up.held == 1 and other.requests)
        await gw.records(1)
        (found,) = json.loads((await gw.admin("/api/upstreams"))[1])["upstreams"]
        assert (found["name"], found["held"], found["max_held"]) == ("up", 1, 7)
        first, second = found["endpoints"]
        assert (first["name"], second["name"]) == (f"127.0.0.1:{up.port}", f"127.0.0.1:{other.port}")
        assert [(one["held"], one["idle"], one["connections"]) for one in (first, second)] == [(1, 0, 1), (0, 1, 1)]
        assert (first["weight"], first["overruns"]) == (1, 0)

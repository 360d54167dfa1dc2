"""What a client may send while its call is under way, and how much of it: requests behind a held poll wait as bytes, up
to the size of one head; thousands that are refused are answered in order; the clock of a head counts for every request.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.raw import get
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

POLL = {"more": hold(), "routes": route(policies=["poll"])}
MAX_HEAD = 4096
SMALL = f'max_head = "{MAX_HEAD}B"'


async def test_more_than_a_head_behind_a_held_poll_ends_the_connection(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, server=SMALL, **POLL) as (gw, raw):
        await raw.send(get("/1"))
        await until(lambda: up.held == 1)
        await raw.send(b"x" * (MAX_HEAD + 1))
        await until(lambda: up.live == 0)
        assert await raw.closed()
        record = await gw.record()
        assert (record["outcome"], record["path"]) == ("client_gone", "/1")


async def test_what_fits_into_a_head_waits_and_is_served_afterwards(tmp_path: Path) -> None:
    next_one = get("/2", f"X: {'y' * 3000}")
    assert len(next_one) < MAX_HEAD
    async with HoldingUpstream() as up, stage(up, tmp_path, server=SMALL, **POLL) as (gw, raw):
        await raw.send(get("/1"))
        await until(lambda: up.held == 1)
        await raw.send(next_one)
        await asyncio.sleep(0.02)
        assert up.held == len(up.requests) == 1
        up.publish(b"[1]")
        assert bytes((await raw.read_answer()).body) == b"[1]"
        await until(lambda: up.held == 1)
        up.publish(b"[2]")
        assert bytes((await raw.read_answer()).body) == b"[2]"
        assert [record["path"] for record in await gw.records(2)] == ["/1", "/2"]


async def test_a_client_that_pipelines_and_leaves_frees_its_upstream(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **POLL) as (gw, raw):
        await raw.send(get("/1") + get("/2"))
        await until(lambda: up.held == 1)
        await raw.close()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_gone", "the second never became a call"
        assert len(up.requests) == 1


@pytest.mark.parametrize("packets", [1, 10])
async def test_thousands_of_pipelined_requests_that_are_refused_at_once_are_answered_in_order(
    tmp_path: Path, packets: int
) -> None:
    """However they arrive: none of them is held, so none of them is behind a held one."""
    count = 3000
    routes = route("got", "/got")
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=routes) as (gw, raw):
        sending = asyncio.create_task(raw.send(*[get("/nowhere") * (count // packets)] * packets, get("/got")))
        statuses = [(await raw.read_answer()).status for _ in range(count + 1)]
        await sending
        assert statuses == [404] * count + [200]
        assert len(await gw.records(count + 1)) == count + 1


@pytest.mark.parametrize("begun", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
@pytest.mark.parametrize("pipelined", [True, False])
async def test_the_head_of_a_later_request_has_the_same_clock(tmp_path: Path, begun: bytes, pipelined: bool) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='header_timeout = "500ms"') as (gw, raw):
        if pipelined:
            await raw.send(get("/1") + begun)
            first = await raw.read_answer()
        else:
            first = await raw.ask(get("/1"))
            await raw.send(begun)
        assert first.status == 200
        found = await soon(raw.read_answer())
        assert (found.status, found.one("Connection")) == (408, "close")
        assert [record["outcome"] for record in await gw.records(2)] == ["answered", "client_timeout"]
        assert len(up.requests) == 1


async def test_only_the_known_expectation_is_met(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (gw, raw):
        found = await raw.ask(get("/", "Expect: 200-maybe", "Content-Length: 1", method="POST"))
        assert (found.status, found.one("Connection")) == (417, "close")
        assert (await gw.record())["outcome"] == "bad_request"
        assert not up.requests

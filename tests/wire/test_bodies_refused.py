"""Bodies that are never looked into although the dialect would: of strangers, of clients that stop sending or leave,
too large, badly framed, and those that a drain finds unfinished. Nothing of them reaches anybody.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, route
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream

from .test_bodies_read import JSON, asks, begun, in_chunks, text, waits


async def test_a_stranger_is_refused_before_his_body_is_asked_for(tmp_path: Path) -> None:
    tables = asks(("signed-in", "poll"), SIGNED_IN)
    body, expect = text(since=7), "Expect: 100-continue"
    async with ScriptedUpstream() as up, gateway(config(up.url, **tables), tmp_path) as gw:
        async with client(gw.port) as raw:
            head = get("/", JSON, expect, f"Content-Length: {len(body)}", method="POST")
            found = await raw.ask(head)
            assert (found.status, found.interim) == (401, [])
        async with client(gw.port) as raw:
            await raw.send(get("/", JSON, expect, bearer(), f"Content-Length: {len(body)}", method="POST"))
            await raw.send(body)
            found = await raw.read_answer()
            assert (found.status, [each.status for each in found.interim]) == (200, [100])
        assert len(up.requests) == 1


async def test_a_body_that_never_comes_is_a_408_and_reaches_nobody(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='body_idle_timeout = "200ms"', **asks()) as it:
        gw, raw = it
        found = await raw.ask(post(b"", "/", JSON).replace(b"Content-Length: 0", b"Content-Length: 9") + b"{")
        assert found.status == 408
        assert await raw.closed()
        assert up.requests == []
        assert (await gw.record())["outcome"] == "client_timeout"


async def test_a_body_that_trickles_has_as_long_as_an_answer_may_take(tmp_path: Path) -> None:
    tables = asks()
    tables["routes"] = route(policies=["poll"], extra='response_timeout = "300ms"')
    async with ScriptedUpstream() as up, stage(up, tmp_path, **tables) as (_, raw):
        await raw.send(get("/", JSON, "Content-Length: 200", method="POST"))
        trickle = asyncio.create_task(raw.send_bytewise(b"{" + b" " * 150))
        assert (await raw.read_answer("POST")).status == 408
        await trickle
        assert up.requests == []


async def test_a_client_that_leaves_while_its_body_is_read_reaches_nobody(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        await begun(raw, up, text(since=7, timeout=3), JSON)
        await waits(gw)
        raw.reset()
        assert (await gw.record())["outcome"] == "client_gone"
        assert up.requests == []


async def test_bad_framing_is_a_400(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        found = await raw.ask(get("/", JSON, "Transfer-Encoding: chunked", method="POST") + b"zz\r\n")
        assert found.status == 400
        assert up.requests == []
        assert (await gw.record())["outcome"] == "bad_request"


async def test_a_larger_body_than_the_route_allows_is_refused(tmp_path: Path) -> None:
    tables = asks(("poll", "small"), '[policy.small.body_size]\nmax = "64B"\n')
    async with ScriptedUpstream() as up, gateway(config(up.url, **tables), tmp_path) as gw:
        for framed in (post(text(since=7, x="x" * 80), "/", JSON), in_chunks(text(since=7, x="x" * 80))):
            async with client(gw.port) as raw:
                assert (await raw.ask(framed)).status == 413
        assert [bytes(request.body) for request in up.requests if request.complete] == []


async def test_drain_ends_a_call_whose_body_has_not_come(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='drain = "300ms"', **asks()) as (gw, raw):
        await begun(raw, up, text(since=7, timeout=3), JSON)
        await waits(gw)
        gw.app.begin_drain()
        assert (await raw.read_answer("POST")).status == 503
        assert up.requests == []

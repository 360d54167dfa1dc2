"""What a service says before its answer: 103 and 102 reach clients that know such a thing, 100 is about the request's
body and goes no further, and none of them changes what follows.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import End, ScriptedUpstream, answer

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


async def test_early_hints_come_before_the_answer_and_without_waiting_for_it(tmp_path: Path) -> None:
    more = asyncio.Event()
    async with ScriptedUpstream((HINT, more, answer(b"page"))) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        await raw.seen(HINT)
        assert raw.left == HINT
        more.set()
        found = await raw.read_answer()
        assert ([one.status for one in found.interim], bytes(found.body)) == ([103], b"page")
        record = await gw.record()
        assert (record["status"], record["outcome"]) == (200, "answered")


async def test_all_but_100_are_passed_on_in_their_order(tmp_path: Path) -> None:
    said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + HINT + answer(b"page")
    async with ScriptedUpstream((said,)) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get())
        assert ([one.status for one in found.interim], bytes(found.body)) == ([102, 103], b"page")


async def test_a_hint_loses_what_is_for_one_hop_and_any_length(tmp_path: Path) -> None:
    hint = b"HTTP/1.1 103 Hints\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\nLink: </a>\r\n\r\n"
    async with ScriptedUpstream((hint + answer(b"page"),)) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get())
        await raw.seen(b"page")
        assert raw.left.startswith(b"HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200")


async def test_a_client_of_http_1_0_gets_the_answer_alone(tmp_path: Path) -> None:
    async with ScriptedUpstream((HINT + answer(b"page"),)) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get(version="1.0"))
        await raw.seen(b"page")
        assert raw.left.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_hint_does_not_end_a_hold_nor_spare_it_its_own_end(tmp_path: Path, method: str) -> None:
    poll = {"more": hold(absent='"500ms"', max='"500ms"', margin='"200ms"'), "routes": route(policies=["poll"])}
    async with ScriptedUpstream((HINT, asyncio.Event())) as up, stage(up, tmp_path, **poll) as (gw, raw):
        await raw.send(get(method=method))
        await raw.seen(HINT)
        found = await raw.read_answer(method)
        assert (found.status, bytes(found.body)) == (200, b"[]" if method == "GET" else b"")
        assert (await gw.record())["outcome"] in ("blank", "overrun")


async def test_a_service_that_only_hints_and_leaves_is_502(tmp_path: Path) -> None:
    async with ScriptedUpstream((HINT, End.CLOSE)) as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get())).status == 502
        assert (await gw.record())["outcome"] == "upstream_reset"


async def test_a_client_that_takes_no_hints_does_not_pile_them_up_nor_the_answer_behind_them(tmp_path: Path) -> None:
    hints = [b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 60_000 + b"\r\n\r\n"] * 16
    size = 24 * 1024 * 1024
    script = [*hints, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, *[bytes(size // 8)] * 8]
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (gw, _):
        async with client(gw.port, receive=4096) as slow:
            slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
            await slow.send(get())
            most = 0
            for _ in range(20):
                await asyncio.sleep(0.02)
                most = max([most, *(one.transport.get_write_buffer_size() for one in gw.app._edge.connections)])  # type: ignore[union-attr]
            slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
            found = await slow.read_answer()
        assert most < 192 * 1024
        assert len(found.body) == size and found.status == 200

"""An answer that breaks off never looks whole: the client's connection is cut in a way that its framing shows, and
where the framing has no way to show it, by RST.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.raw import get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import End, ScriptedUpstream, answer, chunked
from tests.kit.waiting import until

BEGUN = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"part", end=False),
    "inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\npart",
    "before the last CRLF": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
}
BAD_CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n"


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
@pytest.mark.parametrize("framing", BEGUN)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_cut_answer_is_visibly_cut(tmp_path: Path, framing: str, end: End, version: str) -> None:
    async with ScriptedUpstream((BEGUN[framing], end), faults=True) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get(version=version))
        try:
            found = await raw.read_answer()
        except Cut:
            pass
        else:  # HTTP/1.0 knows only the end of the connection, so that has to be an RST; or no head was sent yet
            assert found.status == 502 or (found.framing == "eof" and raw.reset_by is not None)
        record = await gw.record()
        assert record["outcome"] in ("truncated", "upstream_reset")
        assert record["blame"] == "upstream"
        assert len(up.requests) == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_close_delimited_answer_that_is_reset_is_visibly_cut(tmp_path: Path, version: str) -> None:
    script = (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, End.RESET)
    async with ScriptedUpstream(script, faults=True) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get(version=version))
        try:
            found = await raw.read_answer()
        except Cut:
            pass
        else:
            assert found.status == 502 or raw.reset_by is not None
        assert (await gw.record())["outcome"] in ("truncated", "upstream_reset")


async def test_a_broken_chunk_cuts_the_answer(tmp_path: Path) -> None:
    async with ScriptedUpstream((BAD_CHUNK,), faults=True) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        try:
            assert (await raw.read_answer()).status == 502
        except Cut:
            pass
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] in ("truncated", "upstream_bad")


async def test_a_body_that_stops_is_cut_after_its_idle_time(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream((BEGUN["length"], asyncio.Event())) as up,
        stage(up, tmp_path, upstream='body_idle_timeout = "300ms"') as (gw, raw),
    ):
        await raw.send(get())
        with pytest.raises(Cut):
            await raw.read_answer()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "truncated"


async def test_a_cut_poll_is_no_news_of_any_kind(tmp_path: Path) -> None:
    poll = {"more": hold(replay='"destructive"', empty='{ answer = "origin" }'), "routes": route(policies=["poll"])}
    async with ScriptedUpstream((BEGUN["length"], End.CLOSE)) as up, stage(up, tmp_path, **poll) as (gw, raw):
        await raw.send(get())
        try:
            assert (await raw.read_answer()).status == 502
        except Cut:
            pass
        assert (await gw.record())["outcome"] in ("truncated", "upstream_reset")
        assert len(up.requests) == 1


async def test_a_pipelined_request_behind_a_cut_answer_is_not_served(tmp_path: Path) -> None:
    script = (BEGUN["length"], End.CLOSE)
    async with ScriptedUpstream(script, then=(answer(b"second"),)) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get("/1") + get("/2"))
        with pytest.raises(Cut):
            await raw.read_answer()
        assert b"second" not in raw.left


async def test_an_answer_that_the_end_of_the_process_cuts_is_visibly_cut(tmp_path: Path) -> None:
    script = (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart", asyncio.Event())
    async with ScriptedUpstream(script, at="head") as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get(version="1.0"))
        raw.source.data += await raw.reader.readuntil(b"part")
        await gw.app.stop()
        with pytest.raises(Cut):
            await raw.read_answer()


async def test_a_close_delimited_answer_that_the_end_of_the_process_cuts_is_reset(tmp_path: Path) -> None:
    script = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n", asyncio.Event())
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get(version="1.0"))
        raw.source.data += await raw.reader.readuntil(b"part")
        await gw.app.stop()
        await raw.read_answer()
        assert raw.reset_by is not None

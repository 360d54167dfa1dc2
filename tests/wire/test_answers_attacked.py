"""An upstream that abuses its answers (RELIABILITY row 35): a 502, one line in the log, its connection closed, and the
next hundred requests get each its own answer. What comes after a good answer spoils neither it nor any other.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.kit.gateways import InProcess
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import ScriptedUpstream, answer, chunked
from tests.kit.waiting import until

from .test_responses import BAD, CHUNKED, OK, numbered

INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n"
REFUSED = {
    **dict(BAD),
    "NUL in a value": OK + b"X: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    "controls in a value": OK + b"X: a\x01\x1b\x7fb\r\nContent-Length: 2\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok",
    "bare LF in a value": OK + b"X: a\nInjected: b\r\nContent-Length: 2\r\n\r\nok",
    "bare CR in a value": OK + b"X: a\rInjected: b\r\nContent-Length: 2\r\n\r\nok",
    "folded": OK + b"X: a\r\n Injected: b\r\nContent-Length: 2\r\n\r\nok",
    "endless 1xx": INTERIM * 100_000,
    "1xx with NUL": b"HTTP/1.1 103 Early Hints\r\nLink: \x00\r\n\r\n" + answer(b"ok"),
    "1xx with a body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok" + answer(b"ok"),
    "101 after 103": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "chunked HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "a chunk that lies": CHUNKED + b"2\r\nokay\r\n0\r\n\r\n",
    "a chunk size of 2^64": CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "trailers without end": CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000,
}
BEHIND = [b"garbage", answer(b"smuggled"), b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\r\n", b"\x00" * 100_000]


async def next_hundred(gw: InProcess) -> None:
    """A hundred requests over four connections, each with an answer of its own."""
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(client(gw.port)) for _ in range(4)]

        async def ask(number: int) -> None:
            for turn in range(25):
                target = f"/{number}/{turn}"
                found = await clients[number].ask(get(target))
                assert (found.status, bytes(found.body)) == (200, target.encode())

        await asyncio.gather(*(ask(number) for number in range(4)))


@pytest.mark.parametrize("bad", REFUSED)
async def test_a_bad_answer_is_502_and_one_line_and_harms_none_of_the_next_hundred(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with ScriptedUpstream((REFUSED[bad],), then=numbered, faults=True) as up, stage(up, tmp_path) as (gw, raw):
        said = len(caplog.records)
        found = await raw.ask(get("/bad"))
        assert (found.status, found.one("Content-Type")) == (502, "application/problem+json")
        assert not {b"Injected", b"okay", b"smuggled"} & set(bytes(found.body).split())
        await until(lambda: up.live == 0, "its connection is closed")
        await next_hundred(gw)
        records = await gw.records(101)
        assert [record["outcome"] for record in records] == ["upstream_bad"] + ["answered"] * 100
        assert len(caplog.records) == said


@pytest.mark.parametrize("framed", [answer(b"good"), CHUNKED + chunked(b"good")], ids=["length", "chunked"])
@pytest.mark.parametrize("rest", BEHIND, ids=["text", "an answer", "101", "CRLF", "NULs"])
async def test_bytes_behind_an_answer_close_its_connection_and_harm_none_of_the_next_hundred(
    tmp_path: Path, framed: bytes, rest: bytes
) -> None:
    async with ScriptedUpstream((framed + rest,), then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        assert bytes((await raw.ask(get("/bad"))).body) == b"good"
        await until(lambda: not up.peers[0].live)
        await next_hundred(gw)
        assert [record["outcome"] for record in await gw.records(101)] == ["answered"] * 101
        assert len(up.peers[0].requests) == 1


async def test_a_chunk_that_turns_bad_after_the_head_cuts_the_answer_and_harms_none_of_the_next_hundred(
    tmp_path: Path,
) -> None:
    more = asyncio.Event()
    script = (CHUNKED + chunked(b"part", end=False), more, b"zz\r\nInjected")
    async with ScriptedUpstream(script, then=numbered) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get("/bad"))
        await raw.seen(b"part\r\n")
        more.set()
        with pytest.raises(Cut):
            await raw.read_answer()
        assert b"Injected" not in raw.left
        await until(lambda: up.live == 0)
        await next_hundred(gw)
        assert [record["outcome"] for record in await gw.records(101)] == ["truncated"] + ["answered"] * 100

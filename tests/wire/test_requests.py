"""Requests of every framing through the gateway: order, keep-alive, bodies that stream with back-pressure, and the
moment at which a client is told to continue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, route
from tests.kit.raw import RawClient, client, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import ScriptedUpstream, Step, answer
from tests.kit.waiting import until

MIB = 1024 * 1024
STALL = 40  # looks without a change after which a sender counts as stalled
ENDLESS = 512 * MIB  # more than the socket buffers of any kernel take in (tcp_rmem and tcp_wmem grow to 32 MiB each)


def echo(request: Message) -> list[Step]:
    return [answer(bytes(request.body), "200 OK", f"X-Target: {request.target}")]


async def stalled(progress: list[int]) -> int:
    """Waits until `progress[0]` has stopped growing; returns it."""
    last, same = -1, 0
    while same < STALL:
        same = same + 1 if progress[0] == last and last > 0 else 0
        last = progress[0]
        await asyncio.sleep(0.005)
    return last


async def test_a_connection_serves_many_requests_over_one_upstream_connection(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (gw, raw):
        for number in range(5):
            assert (await raw.ask(get(f"/{number}"))).one("X-Target") == f"/{number}"
        assert len(up.peers) == 1
        assert [record["status"] for record in await gw.records(5)] == [200] * 5


async def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    release = asyncio.Event()
    first = (release, answer(b"first"))
    async with ScriptedUpstream(first, then=echo) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get("/1") + post(b"two", "/2") + post_chunked(b"th", b"ree", target="/3") + get("/4"))
        await until(lambda: up.held == 1)
        release.set()
        bodies = [bytes((await raw.read_answer()).body) for _ in range(4)]
        assert bodies == [b"first", b"two", b"three", b""]
        assert sorted(request.target for request in up.requests) == ["/1", "/2", "/3", "/4"]


async def test_a_request_split_at_every_byte_is_served(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (_, raw):
        await raw.send_bytewise(post_chunked(b"ab", b"c") + get("/next"))
        assert bytes((await raw.read_answer()).body) == b"abc"
        assert (await raw.read_answer()).one("X-Target") == "/next"


async def test_head_has_the_length_but_not_the_body(tmp_path: Path) -> None:
    bare = (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",)
    async with ScriptedUpstream(bare, then=echo) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get(method="HEAD"))
        assert (found.status, found.one("Content-Length"), bytes(found.body)) == (200, "5", b"")
        assert (await raw.ask(get("/next"))).one("X-Target") == "/next"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [0, 1, 65536, 3 * MIB])
async def test_a_body_arrives_whole(tmp_path: Path, framing: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    parts = [body[at : at + 50_000] for at in range(0, size, 50_000)]
    request = post(body) if framing == "length" else post_chunked(*parts)
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (gw, raw):
        assert bytes((await raw.ask(request)).body) == body
        record = await gw.record()
        assert (record["bytes_in"], record["bytes_out"]) == (size, size)


async def test_a_body_is_streamed_and_not_collected(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(post_chunked(b"early", end=False))
        await until(lambda: up.requests and up.requests[0].body == b"early")
        await raw.send(b"4\r\nlate\r\n0\r\n\r\n")
        assert bytes((await raw.read_answer()).body) == b"earlylate"


async def test_an_upstream_that_does_not_read_stalls_the_sender(tmp_path: Path) -> None:
    sent = [0]
    async with (
        ScriptedUpstream() as up,
        stage(up, tmp_path, server='max_body = "1GiB"\nbody_idle_timeout = "60s"') as (gw, raw),
    ):
        up.gate.clear()
        await raw.send(get("/", f"Content-Length: {ENDLESS}", method="POST"))
        sending = asyncio.create_task(push(raw, ENDLESS, sent))
        stood = await stalled(sent)
        assert stood < ENDLESS
        up.gate.set()
        await until(lambda: sent[0] > stood, "it goes on")
        sending.cancel()
        await raw.close()
        await until(lambda: up.live == 0)
        assert bytes(up.requests[0].body).count(0) == len(up.requests[0].body), "not a byte that was not sent"
        assert (await gw.record())["outcome"] == "client_gone"


async def push(raw: RawClient, total: int, sent: list[int]) -> None:
    part = bytes(65536)
    while sent[0] < total:
        await raw.send(part)
        sent[0] += len(part)


async def test_a_client_that_does_not_read_stalls_the_upstream(tmp_path: Path) -> None:
    sent = [0]

    def pour(_: Message) -> Iterator[Step]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % ENDLESS
        while sent[0] < ENDLESS:
            yield bytes(65536)
            sent[0] += 65536

    async with (
        ScriptedUpstream(pour) as up,
        gateway(config(up.port, server='write_idle_timeout = "60s"'), tmp_path) as gw,
        client(gw.port, receive=4096) as raw,
    ):
        await raw.send(get())
        stood = await stalled(sent)
        assert stood < ENDLESS
        taken = 0
        while sent[0] == stood:
            data = await raw.reader.read(65536)
            assert data, "it goes on"
            taken += len(data)
        await raw.close()
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert record["outcome"] == "client_gone"
        assert record["bytes_out"] <= sent[0] + 65536


async def test_continue_is_said_after_admission_and_once(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=echo) as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get("/", "Expect: 100-continue", "Content-Length: 4", bearer(), method="POST"))
            assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await raw.send(b"body")
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.interim) == (200, b"body", [])
            assert up.requests[0].one("Expect") is None


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_no_continue_for_a_body_that_is_already_there(tmp_path: Path, version: str) -> None:
    request = get("/", "Expect: 100-continue", "Content-Length: 4", method="POST", version=version) + b"body"
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (_, raw):
        await raw.send(request)
        found = await raw.read_answer()
        assert bytes(found.body) == b"body"
        assert len(found.interim) <= (1 if version == "1.1" else 0)


async def test_a_refused_client_is_never_told_to_continue(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get("/", "Expect: 100-continue", "Content-Length: 10485760", method="POST"))
            found = await raw.read_answer()
            assert (found.status, found.interim) == (401, [])
            assert found.one("WWW-Authenticate") is not None
            assert await raw.closed()
            assert not up.requests
            assert (await gw.record())["outcome"] == "unauthenticated"


async def test_http_1_0_is_served_and_closed_unless_kept_alive(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=echo) as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get("/a", "Connection: keep-alive", version="1.0"))).status == 200
        assert (await raw.ask(get("/b", version="1.0"))).status == 200
        assert await raw.closed()
        assert [request.minor for request in up.requests] == ["1", "1"]


async def test_a_chunked_answer_reaches_an_http_1_0_client_unchunked(tmp_path: Path) -> None:
    body = answer(b"", "200 OK", "Transfer-Encoding: chunked", length=False) + b"3\r\nabc\r\n0\r\n\r\n"
    async with ScriptedUpstream((body,)) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get(version="1.0"))
        assert (found.framing, bytes(found.body)) == ("eof", b"abc")
        assert raw.reset_by is None


async def test_connection_close_is_honoured(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get("/", "Connection: close"))
        assert (found.status, found.one("Connection")) == (200, "close")
        assert await raw.closed()

"""What passes through a tunnel, and how it ends by itself: bytes as they came, from their first one on, held back where
nobody takes them, and an end passed on as the end it was.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from gateway.edge.tunnel import Tunnel
from tests.kit.gateways import config, gateway, route
from tests.kit.raw import client, get
from tests.kit.tunnels import (
    WEBSOCKET,
    Far,
    FarEnd,
    ask,
    closing,
    frame,
    head_of,
    opened,
    switching,
    taken,
)
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

ROUTES = route(policies=["ws"])


def text(port: int, policy: str = "", **more: str) -> str:
    return config(port, more=f"{WEBSOCKET}{policy}\n", routes=ROUTES, **more)


async def test_bytes_pass_both_ways_after_a_101_as_they_came(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw:
        async with client(gw.port) as raw:
            await opened(raw, "/chat?room=1")
            far = await up.far()
            sent = frame(b"ping", masked=True) + frame(b"x" * 70000, masked=True)
            await raw.send(sent[:3], sent[3:])
            await until(lambda: far.got == sent)
            back = frame(b"y" * 300) + frame(b"")
            far.send(back)
            await taken(raw, back)
        await until(lambda: far.eof)
        far.writer.close()
        record = await gw.record()
    assert (record["outcome"], record["status"]) == ("tunnelled", 101)
    assert (record["bytes_in"], record["bytes_out"]) == (len(sent), len(back))
    assert (record["path"], record["query"]) == ("/chat", ["room"])


async def test_the_upstream_sees_the_handshake_and_the_client_its_answer(tmp_path: Path) -> None:
    says = switching("Sec-WebSocket-Protocol: chat.v2", "X-From: up", "Keep-Alive: timeout=5")
    async with FarEnd(says) as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        head = await opened(raw, "/", "Sec-WebSocket-Protocol: chat.v1, chat.v2", "X-Mine: yes")
        far = await up.far()
    assert far.head.startswith(b"GET / HTTP/1.1\r\n")
    assert (far.fields("Connection"), far.fields("Upgrade")) == (["Upgrade"], ["websocket"])
    assert far.fields("Sec-WebSocket-Key") == ["dGhlIHNhbXBsZSBub25jZQ=="]
    assert far.fields("Sec-WebSocket-Protocol") == ["chat.v1, chat.v2"]
    assert far.fields("X-Mine") == ["yes"]
    assert far.fields("X-Request-Id")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    assert b"Connection: Upgrade" in lines
    assert b"Upgrade: websocket" in lines
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in lines
    assert b"Sec-WebSocket-Protocol: chat.v2" in lines
    assert b"X-From: up" in lines
    assert not any(line.lower().startswith((b"keep-alive", b"transfer-", b"content-length")) for line in lines)


async def test_what_comes_in_one_packet_with_the_head_is_the_first_of_the_tunnel(tmp_path: Path) -> None:
    hello, early = frame(b"hello"), frame(b"early", masked=True)
    async with FarEnd(switching() + hello) as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(ask() + early)
        assert (await head_of(raw)).startswith(b"HTTP/1.1 101 ")
        await taken(raw, hello)
        far = await up.far()
        await until(lambda: far.got == early)


@pytest.mark.parametrize("slow", ["client", "upstream"])
async def test_who_takes_nothing_stops_the_other_and_nothing_is_lost(tmp_path: Path, slow: str) -> None:
    """Megabytes are offered; what is not taken stays with who sent it, not in the gateway."""
    block, count = b"z" * 65536, 400
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port, receive=65536) as raw:
        await opened(raw)
        far = await up.far()
        sender = far.writer if slow == "client" else raw.writer
        if slow == "upstream":
            far.reads.clear()
        sender.transport.set_write_buffer_limits(high=0)
        for _ in range(count):
            sender.write(block)
        held = next(iter(gw.app._edge.connections)).call
        assert held is not None
        tunnel = cast(Tunnel, held.up)
        source, target = (tunnel.upstream, tunnel.client) if slow == "client" else (tunnel.client, tunnel.upstream)
        await until(lambda: not source.transport.is_reading(), "it is stopped")
        assert 0 < source.count < len(block) * count
        assert target.transport.get_write_buffer_size() <= 512 * 1024
        if slow == "client":
            await taken(raw, block * count)
        else:
            far.reads.set()
            await until(lambda: len(far.got) == len(block) * count)


async def test_a_client_that_ends_its_side_still_gets_what_comes(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        await raw.send(closing(1000, masked=True))
        raw.half_close()
        await until(lambda: far.eof)
        assert far.got == closing(1000, masked=True)
        far.send(frame(b"last") + closing(1000))
        far.writer.close()
        await taken(raw, frame(b"last") + closing(1000))
        assert await raw.closed()
        record = await gw.record()
    assert (record["outcome"], record["blame"]) == ("tunnelled", "none")


async def test_an_upstream_that_ends_its_side_still_gets_what_comes(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        far.send(closing(1001))
        far.writer.write_eof()
        await taken(raw, closing(1001))
        assert await raw.closed()
        await raw.send(closing(1001, masked=True))
        await until(lambda: far.got == closing(1001, masked=True))
        raw.half_close()
        await until(lambda: far.eof)
        record = await gw.record()
    assert record["outcome"] == "tunnelled"


async def test_a_reset_of_the_client_reaches_the_upstream(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        raw.reset()
        await until(lambda: far.over)
        record = await gw.record()
    assert (record["outcome"], record["blame"]) == ("client_gone", "downstream")


async def test_a_reset_of_the_upstream_reaches_the_client(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        (await up.far()).reset()
        await raw.closed()
        assert raw.reset_by is not None
        record = await gw.record()
    assert (record["outcome"], record["note"], record["status"]) == ("truncated", "ConnectionResetError", 101)


async def test_what_was_borrowed_comes_back_when_a_tunnel_ends(tmp_path: Path) -> None:
    cap = '[[policy.ws.hold_cap]]\nmax = 1\nper = "route"\n'
    async with FarEnd() as up, gateway(text(up.port, f"\n{cap}"), tmp_path) as gw:
        async with client(gw.port) as raw, client(gw.port) as other:
            await opened(raw)
            assert (await other.ask(ask())).status == 429
            await until(lambda: gw.app._edge.room.open == 2)
        (await up.far()).writer.close()
        await gw.records(2)
        await until(lambda: gw.app._edge.room.open == 0)
        async with client(gw.port) as raw:
            await opened(raw)
        (await up.far(1)).writer.close()
        await gw.records(3)
        endpoint = gw.app._serve.snapshot.upstreams["up"].endpoints[0]
        await until(lambda: (endpoint.held, endpoint.open) == (0, 0))


async def test_a_connection_that_had_rested_before_is_a_tunnel_for_as_long_as_any(tmp_path: Path) -> None:
    def answer(far: Far) -> bytes:
        return switching() if far.fields("Upgrade") else b"HTTP/1.1 204 No Content\r\n\r\n"

    async with FarEnd(answer) as up:
        more = text(up.port, upstream='keepalive = "400ms"')
        async with gateway(more, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/"))).status == 204
            await opened(raw)
            far = await up.far(1)
            assert up.all[0] is far  # the same connection
            await asyncio.sleep(0.8)  # its rest would be over
            far.send(frame(b"still here"))
            await taken(raw, frame(b"still here"))


async def test_after_a_tunnel_was_refused_the_connection_is_an_ordinary_one(tmp_path: Path) -> None:
    said = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    async with ScriptedUpstream(then=[said]) as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        answer = await raw.ask(ask())
        assert (answer.status, bytes(answer.body)) == (403, b"no")
        assert (await raw.ask(get("/again"), "GET")).status == 403
        first, _ = await gw.records(2)
    assert (first["outcome"], first["status"]) == ("answered", 403)


async def test_a_101_shows_that_an_endpoint_does_not_hang(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        (endpoint,) = gw.app._serve.snapshot.upstreams["up"].endpoints
        endpoint.overruns = 2
        await opened(raw)
        assert endpoint.overruns == 0


async def test_where_there_is_no_room_for_another_poll_there_is_none_for_a_tunnel(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        gw.app._serve.sheds_hold = lambda: True
        await raw.send(ask())
        assert (await head_of(raw)).startswith(b"HTTP/1.1 503 ")
        assert up.all == []

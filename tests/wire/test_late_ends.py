"""What a reload overtakes: a handshake or a request that becomes a tunnel or a stream after its route was taken away
ends as those that were under way by then.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.kit.gateways import InProcess, config, gateway, route
from tests.kit.raw import RawClient, client, get
from tests.kit.tunnels import WEBSOCKET, FarEnd, ask, closing, head_of, switching, taken
from tests.kit.waiting import soon

SSE = "[policy.ws.sse]\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def first_instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything draws the first instant of a window."""
    monkeypatch.setattr(random, "random", lambda: 0.0)


def text(up: FarEnd, name: str) -> str:
    return config(up.port, more=WEBSOCKET + SSE, routes=route(name, policies=["ws"]), server='drain = "20s"')


async def overtaken(gw: InProcess, raw: RawClient, up: FarEnd, request: bytes, answer: bytes) -> bytes:
    """The head of an answer that came after its route was taken away."""
    await raw.send(request)
    far = await up.far()
    gw.app.path.write_text(text(up, "other"))
    assert await soon(gw.app.reload()) == []
    far.send(answer)
    return await head_of(raw)


async def test_a_handshake_whose_route_is_taken_away_meanwhile_becomes_no_tunnel_that_stays(tmp_path: Path) -> None:
    async with FarEnd(lambda _: b"") as up, gateway(text(up, "all"), tmp_path) as gw, client(gw.port) as raw:
        assert (await overtaken(gw, raw, up, ask(), switching())).startswith(b"HTTP/1.1 101 ")
        await taken(raw, closing(1001))
        await raw.send(closing(1001, masked=True))
        assert await raw.closed()
        (await up.far()).writer.close()
        assert (await gw.record())["outcome"] == "drained"


async def test_a_stream_whose_route_was_taken_away_before_it_began_does_not_stay(tmp_path: Path) -> None:
    async with FarEnd(lambda _: b"") as up, gateway(text(up, "all"), tmp_path) as gw, client(gw.port) as raw:
        assert (await overtaken(gw, raw, up, get("/"), EVENTS)).startswith(b"HTTP/1.1 200 ")
        assert await raw.closed()
        assert (await gw.record())["outcome"] == "drained"

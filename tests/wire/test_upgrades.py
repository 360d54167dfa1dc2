"""RELIABILITY: what asks to leave HTTP and may not, and upstreams that say they left it and did not. Nothing is
tunnelled but after a real 101 that was asked for on a route that lets it; everything else stays HTTP, to the last byte.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, config, gateway, route
from tests.kit.raw import client, get, post
from tests.kit.tunnels import HANDSHAKE, WEBSOCKET, FarEnd, ask, frame, head_of, opened, switching
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import until

ROUTES = route("chat", "/chat", ["ws"]) + route("rest", "/**")
PAGE = "https://app.example.com"


def text(port: int, policy: str = "", routes: str = ROUTES, more: str = "") -> str:
    return config(port, more=f"{WEBSOCKET}{policy}\n{more}", routes=routes)


@pytest.mark.parametrize(
    "fields",
    [
        HANDSHAKE,
        ("Connection: Upgrade", "Upgrade: tcp"),
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    ],
)
async def test_elsewhere_an_upgrade_is_ignored_and_the_next_request_served(
    tmp_path: Path, fields: tuple[str, ...]
) -> None:
    async with ScriptedUpstream() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get("/other", *fields) + get("/second"))
        assert [(await raw.read_answer()).status for _ in range(2)] == [200, 200]
        assert [request.target for request in up.requests] == ["/other", "/second"]
        assert [request.one("Upgrade") for request in up.requests] == [None, None]


@pytest.mark.parametrize(
    "fields",
    [
        ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
        ("Connection: Upgrade", "Upgrade: tcp"),
        ("Upgrade: websocket",),
    ],
)
async def test_where_websockets_are_let_through_other_protocols_are_ignored(
    tmp_path: Path, fields: tuple[str, ...]
) -> None:
    async with ScriptedUpstream() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(get("/chat", *fields))).status == 200
        received = bytes(up.peers[0].received).lower()
        assert b"upgrade" not in received
        assert b"http2-settings" not in received


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_connect_and_trace_are_refused_there_too(tmp_path: Path, method: str) -> None:
    target = "localhost:80" if method == "CONNECT" else "/chat"
    async with ScriptedUpstream() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(get(target, *HANDSHAKE, method=method), method)).status == 405
        assert up.requests == []


@pytest.mark.parametrize("origin", ["http://app.example.com", f"{PAGE}:8443", f"{PAGE}.evil.test", "null"])
async def test_a_web_page_that_is_not_named_is_told_so_and_nobody_hears_of_it(tmp_path: Path, origin: str) -> None:
    policy = f'origins = ["{PAGE}"]'
    async with FarEnd() as up, gateway(text(up.port, policy), tmp_path) as gw, client(gw.port) as raw:
        refused = await raw.ask(ask("/chat", f"Origin: {origin}"))
        assert refused.status == 403
        assert b"origin_not_allowed" in bytes(refused.body)
        await opened(raw, "/chat", f"Origin: {PAGE}")
        assert len(up.all) == 1
        assert (await gw.records(1))[0]["outcome"] == "forbidden"


@pytest.mark.parametrize("status", ["200 OK", "426 Upgrade Required", "401 Unauthorized"])
async def test_a_request_smuggled_behind_an_upgrade_that_failed_is_judged_as_any_other(
    tmp_path: Path, status: str
) -> None:
    """The client hopes that the gateway tunnels by now: the second request asks for what needs a token."""
    routes = route("chat", "/chat", ["ws"]) + route("inside", "/inside", ["signed-in"])
    refused = answer(b"no", status, "Connection: Upgrade", "Upgrade: websocket")
    async with ScriptedUpstream(then=[refused]) as up:
        async with gateway(text(up.port, routes=routes, more=SIGNED_IN), tmp_path) as gw, client(gw.port) as raw:
            await raw.send(ask("/chat") + get("/inside") + get("/chat"))
            assert (await raw.read_answer()).status == int(status[:3])
            assert (await raw.read_answer()).status == 401
            assert (await raw.read_answer()).status == int(status[:3])
        assert [request.target for request in up.requests] == ["/chat", "/chat"]


NOT_REAL = {
    "no Upgrade": switching().replace(b"Upgrade: websocket\r\n", b""),
    "no Connection": switching().replace(b"Connection: Upgrade\r\n", b""),
    "no Accept": switching().replace(b"Accept", b"Other"),
    "another Accept": switching(key="AAAAAAAAAAAAAAAAAAAAAA=="),
    "another protocol": switching().replace(b"websocket", b"h2c"),
    "a subprotocol nobody offered": switching("Sec-WebSocket-Protocol: chat.v9"),
    "bare LF": switching().replace(b"\r\nUpgrade", b"\nUpgrade"),
}


@pytest.mark.parametrize("why", NOT_REAL)
async def test_a_101_that_is_none_is_a_bad_answer_and_nothing_is_tunnelled(tmp_path: Path, why: str) -> None:
    behind = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nowned"
    async with FarEnd(NOT_REAL[why] + behind) as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(ask("/chat") + frame(b"early", masked=True))
        refused = await raw.read_answer()
        assert (refused.status, b"owned" in bytes(refused.body)) == (502, False)
        far = await up.far()
        await until(lambda: far.over)
        assert far.got == b""
        record = (await gw.records(1))[0]
    assert (record["outcome"], record["blame"]) == ("upstream_bad", "upstream")


async def test_a_101_that_nobody_asked_for_is_still_a_bad_answer(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(get("/chat"))).status == 502
        assert (await raw.ask(post(b"x", "/chat", *HANDSHAKE), "POST")).status == 502
        assert (await gw.records(2))[0]["note"] == "unasked 101"


async def test_an_answer_to_an_upgrade_may_follow_other_heads(tmp_path: Path) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
    async with FarEnd(early + switching()) as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(ask("/chat"))
        head = await head_of(raw)
        while not head.startswith(b"HTTP/1.1 101 "):  # whether the hints are passed on is not the point
            head = await head_of(raw)


async def test_what_a_client_sends_before_the_101_goes_nowhere_until_it_is_real(tmp_path: Path) -> None:
    """And more of it than one head may have is nobody honest's: the connection is closed."""
    async with FarEnd(lambda far: b"") as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(ask("/chat") + frame(b"early", masked=True))
        far = await up.far()
        await raw.send(b"x" * 70000)
        await raw.closed()
        await until(lambda: far.over)
        assert far.got == b""
        assert (await gw.record())["outcome"] == "client_gone"


async def test_a_refused_upgrade_keeps_the_connection_and_an_old_version_is_told_the_new(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        old = [line.replace("Version: 13", "Version: 8") for line in HANDSHAKE]
        refused = await raw.ask(get("/chat", *old))
        assert (refused.status, refused.one("Sec-WebSocket-Version")) == (426, "13")
        assert (await raw.ask(ask("/chat", "Sec-WebSocket-Protocol: a b"))).status == 400
        assert up.all == []

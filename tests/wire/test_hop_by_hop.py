"""What belongs to one hop stays on it, in both directions; what the gateway says about a client, the client cannot
say, remove or double. `Upgrade` is ignored (RFC 9110 7.8).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, route
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream, answer

HOP_BY_HOP = [
    "Keep-Alive: timeout=5",
    "Proxy-Connection: keep-alive",
    "Proxy-Authorization: Basic eDp5",
    "Proxy-Authenticate: Basic",
    "TE: trailers",
    "Trailer: X-Sum",
    "Upgrade: websocket",
    "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
]
IDENTITY = 'identity = { consumer = "Gateway-Consumer", tenant = "Gateway-Tenant" }'


@pytest.mark.parametrize("line", HOP_BY_HOP)
async def test_a_hop_by_hop_field_of_a_request_is_removed(tmp_path: Path, line: str) -> None:
    name = line.partition(":")[0]
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get("/", line, "X-End-To-End: yes"))).status == 200
        assert up.requests[0].one(name) is None
        assert up.requests[0].one("X-End-To-End") == "yes"


@pytest.mark.parametrize("line", [*HOP_BY_HOP[:4], "Trailer: X-Sum", "Upgrade: h2c"])
async def test_a_hop_by_hop_field_of_an_answer_is_removed(tmp_path: Path, line: str) -> None:
    name = line.partition(":")[0]
    script = (answer(b"ok", "200 OK", line, "X-End-To-End: yes"),)
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get())
        assert found.one(name) is None
        assert found.one("X-End-To-End") == "yes"


async def test_fields_named_by_connection_are_removed_both_ways(tmp_path: Path) -> None:
    script = (answer(b"ok", "200 OK", "Connection: X-Secret, X-Other", "X-Secret: 1", "x-other: 2", "X-Kept: 3"),)
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (_, raw):
        found = await raw.ask(get("/", "Connection: close, X-Mine, X-Also", "X-Mine: 1", "x-also: 2", "X-Kept: 3"))
        assert [found.one(name) for name in ("X-Secret", "X-Other", "X-Kept")] == [None, None, "3"]
        seen = up.requests[0]
        assert [seen.one(name) for name in ("X-Mine", "X-Also", "X-Kept")] == [None, None, "3"]


async def test_connection_cannot_remove_what_the_gateway_says(tmp_path: Path) -> None:
    named = "X-Forwarded-For, Authorization, Gateway-Consumer, Host, X-Request-Id, Content-Length, Forwarded"
    async with ScriptedUpstream() as up:
        text = config(
            up.port, upstream=IDENTITY + "\nforward_authorization = true", more=SIGNED_IN,
            routes=route(policies=["signed-in"]),
        )  # fmt: skip
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            request = post(b"body", "/", f"Connection: {named}", bearer("alice"))
            assert (await raw.ask(request)).status == 200
        seen = up.requests[0]
        assert seen.one("Gateway-Consumer") == "alice"
        assert seen.one("X-Forwarded-For") == "127.0.0.1"
        assert seen.one("X-Request-Id")
        assert seen.one("Host")
        assert bytes(seen.body) == b"body"


@pytest.mark.parametrize(
    ("version", "host", "kept"), [("1.1", "API.example:81", "api.example:81"), ("1.0", None, None)]
)
async def test_the_upstream_is_told_its_own_host_or_the_clients(
    tmp_path: Path, version: str, host: str | None, kept: str | None
) -> None:
    for keep, told in ((False, None), (True, kept)):
        async with ScriptedUpstream() as up:
            text = config(up.port, upstream=f"keep_host = {str(keep).lower()}")
            async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
                assert (await raw.ask(get("/", host=host, version=version))).status == 200
            seen = up.requests[0]
            assert seen.all("Host") == [told or f"127.0.0.1:{up.port}"]
            assert seen.one("X-Forwarded-Host") == kept


async def test_a_client_cannot_forge_what_the_gateway_says(tmp_path: Path) -> None:
    forged = ["Gateway-Consumer: root", "gateway-consumer: root", "Gateway-Tenant: root", "Gateway_Consumer: root",
              "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 7.7.7.7", "Forwarded: for=6.6.6.6", "Gateway-Hold: 9",
              "X-Forwarded-Host: evil", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil",
              "x_forwarded_server: evil", "X-Forwarded-Scheme: evil"]  # fmt: skip
    async with ScriptedUpstream() as up:
        text = config(up.port, upstream=IDENTITY, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/", *forged, bearer("alice")))).status == 200
        seen = up.requests[0]
        assert seen.one("Gateway-Consumer") == "alice"
        assert seen.one("Gateway_Consumer") is None
        assert seen.one("Gateway-Tenant") is None
        assert seen.one("X-Forwarded-For") == "127.0.0.1"
        assert seen.one("X-Forwarded-Proto") == "http"
        assert seen.one("X-Forwarded-Host") == "localhost"
        assert seen.one("Authorization") is None
        text_seen = bytes(up.peers[0].received)
        assert not any(word in text_seen for word in (b"6.6.6.6", b"7.7.7.7", b"root", b"evil"))


async def test_a_forwarded_field_that_only_the_operator_can_know_is_set_by_the_operator(tmp_path: Path) -> None:
    """Frameworks build links and redirects with it, so nobody else may write it, not even a trusted proxy's client."""
    tables = {
        "server": 'trusted_proxies = ["127.0.0.0/8"]',
        "upstream": 'headers.set = { X-Forwarded-Prefix = "/api" }',
    }
    async with ScriptedUpstream() as up, gateway(config(up.port, **tables), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(get("/", "X-Forwarded-Prefix: /evil", "X-Forwarded-Ssl: on"))).status == 200
        assert up.requests[0].all("X-Forwarded-Prefix") == ["/api"]
        assert up.requests[0].one("X-Forwarded-Ssl") is None


async def test_h2c_is_ignored_and_the_next_pipelined_request_served(tmp_path: Path) -> None:
    upgrade = (
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        await raw.send(post(b"body", "/first", *upgrade) + get("/second"))
        assert [(await raw.read_answer()).status for _ in range(2)] == [200, 200]
        assert [request.target for request in up.requests] == ["/first", "/second"]
        assert bytes(up.requests[0].body) == b"body"
        received = bytes(up.peers[0].received).lower()
        assert b"h2c" not in received
        assert b"http2-settings" not in received


async def test_a_websocket_upgrade_is_not_tunnelled(tmp_path: Path) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get("/", *upgrade) + get("/smuggled"))
        assert (await raw.read_answer()).status == 200
        assert (await raw.read_answer()).status == 200
        assert b"upgrade" not in bytes(up.peers[0].received).lower()

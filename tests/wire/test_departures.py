"""A client that leaves frees its upstream at once: over TCP, TLS and unix sockets, by FIN and by RST, while it waits,
while it sends and while it is being answered. Every departure is one record.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.certificates import Certificate
from tests.kit.gateways import config, gateway, hold, route
from tests.kit.raw import RawClient, client, connect, get, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

POLL = {"more": hold(), "routes": route(policies=["poll"])}


async def leave(raw: RawClient, ending: str) -> None:
    if ending == "fin":
        await raw.close()
    else:
        raw.reset()


@pytest.mark.parametrize("ending", ["fin", "rst"])
@pytest.mark.parametrize("transport", ["tcp", "tls", "unix"])
async def test_a_parked_client_that_leaves(
    tmp_path: Path, certificate: Certificate, transport: str, ending: str
) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    listen = [f"unix:{tmp_path}/g.sock"] if transport == "unix" else ["127.0.0.1:0"]
    async with HoldingUpstream() as up:
        text = config(up.port, listen=listen, server=tls if transport == "tls" else "", **POLL)
        async with gateway(text, tmp_path) as gw:
            where = tmp_path / "g.sock" if transport == "unix" else gw.port
            raw = await connect(where, certificate.client() if transport == "tls" else None)
            await raw.send(get())
            await until(lambda: up.held == 1)
            await leave(raw, ending)
            await until(lambda: up.live == 0)
            record = await gw.record()
            assert (record["outcome"], record["blame"]) == ("client_gone", "downstream")
            assert await gw.held() == []


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_fifty_clients_that_leave_at_once(tmp_path: Path, ending: str) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLL), tmp_path) as gw:
        clients = [await connect(gw.port) for _ in range(50)]
        for raw in clients:
            await raw.send(get())
        await until(lambda: up.held == 50)
        for raw in clients:
            await leave(raw, ending)
        await until(lambda: up.live == 0)
        assert [record["outcome"] for record in await gw.records(50)] == ["client_gone"] * 50


async def test_those_who_stay_are_served(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **POLL) as (gw, stays):
        leaves = await connect(gw.port)
        await stays.send(get())
        await leaves.send(get())
        await until(lambda: up.held == 2)
        leaves.reset()
        await until(lambda: up.held == 1)
        up.publish(b'["news"]')
        assert bytes((await stays.read_answer()).body) == b'["news"]'
        assert sorted(record["outcome"] for record in await gw.records(2)) == ["client_gone", "news"]


async def test_a_half_closed_client_is_gone(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **POLL) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.held == 1)
        raw.half_close()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_gone"


async def test_a_half_closed_client_is_answered_where_the_config_says_so(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        stage(up, tmp_path, server='half_close = "answer"', **POLL) as (_, raw),
    ):
        await raw.send(get())
        await until(lambda: up.held == 1)
        raw.half_close()
        await asyncio.sleep(0.02)
        assert up.publish(b'["news"]') == 1
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        assert await raw.closed()


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_client_that_leaves_while_it_sends(tmp_path: Path, ending: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(post_chunked(b"begun", end=False))
        await until(lambda: up.requests and up.requests[0].body == b"begun")
        await leave(raw, ending)
        await until(lambda: up.live == 0)
        assert not up.requests[0].complete
        assert (await gw.record())["outcome"] == "client_gone"


@pytest.mark.parametrize("ending", ["fin", "rst"])
async def test_a_client_that_leaves_while_it_is_answered(tmp_path: Path, ending: str) -> None:
    script = (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun", asyncio.Event())
    async with ScriptedUpstream(script) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        await raw.reader.readuntil(b"begun")
        await leave(raw, ending)
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_gone"


async def test_tls_serves_requests(tmp_path: Path, certificate: Certificate) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=tls), tmp_path) as gw:
        async with client(gw.port, certificate.client()) as raw:
            assert (await raw.ask(get("/a"))).status == 200
            assert (await raw.ask(get("/b"))).status == 200
        assert up.requests[0].one("X-Forwarded-Proto") == "https"


async def test_plain_bytes_on_a_tls_listener_harm_nobody(tmp_path: Path, certificate: Certificate) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=tls), tmp_path) as gw:
        async with client(gw.port) as plain:
            await plain.send(get())
            await until(lambda: plain.reader.at_eof() or plain.reader.exception())
        async with client(gw.port, certificate.client()) as raw:
            assert (await raw.ask(get())).status == 200


async def test_a_unix_socket_serves_requests(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/g.sock"]
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, listen=listen), tmp_path),
        client(tmp_path / "g.sock") as raw,
    ):
        assert (await raw.ask(get("/a"))).status == 200
        assert (await raw.ask(get("/b"))).status == 200


async def test_a_tls_upstream_is_reached_and_freed(tmp_path: Path, certificate: Certificate) -> None:
    trust = f'tls = {{ ca = "file:{certificate.cert}" }}'
    async with HoldingUpstream(tls=certificate.server()) as up, stage(up, tmp_path, upstream=trust, **POLL) as (_, raw):
        await raw.send(get())
        await until(lambda: up.held == 1)
        up.publish(b'["news"]')
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        await raw.send(get())
        await until(lambda: up.held == 1)
        raw.reset()
        await until(lambda: up.live == 0)


async def test_an_upstream_with_a_strange_certificate_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    async with (
        ScriptedUpstream((answer(),), tls=certificate.server()) as up,
        stage(up, tmp_path) as (gw, raw),
    ):
        assert (await raw.ask(get())).status == 502
        assert not up.requests
        assert (await gw.record())["outcome"] == "upstream_refused"

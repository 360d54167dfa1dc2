"""TLS towards endpoints: what is verified, what is shown, and that a connection that cannot be trusted carries not one
byte of a request.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

HERE = ("localhost", "127.0.0.1")


def trust(*parts: str) -> str:
    return f"tls = {{ {', '.join(parts)} }}"


async def test_an_endpoint_of_a_trusted_authority_is_served(tmp_path: Path) -> None:
    own = make_certificate(tmp_path / "own", *HERE)
    async with (
        ScriptedUpstream(tls=own.server()) as up,
        stage(up, tmp_path, upstream=trust(f'ca = "file:{own.cert}"')) as (gw, raw),
    ):
        assert (await raw.ask(post(b"body"))).status == 200
        assert (await raw.ask(get())).status == 200
        assert bytes(up.requests[0].body) == b"body"
        assert len(up.peers) == 1, "kept like a plain connection"
        assert [record["outcome"] for record in await gw.records(2)] == ["answered"] * 2


@pytest.mark.parametrize("why", ["unknown authority", "another name", "expired"])
async def test_an_endpoint_that_cannot_be_trusted_is_502_and_gets_nothing(tmp_path: Path, why: str) -> None:
    names = ("b.internal",) if why == "another name" else HERE
    shown = make_certificate(tmp_path / "shown", *names, days=-1 if why == "expired" else 1)
    trusted = make_certificate(tmp_path / "trusted", *HERE) if why == "unknown authority" else shown
    async with (
        ScriptedUpstream(tls=shown.server()) as up,
        stage(up, tmp_path, upstream=trust(f'ca = "file:{trusted.cert}"')) as (gw, raw),
    ):
        assert (await raw.ask(post(b"secret"))).status == 502
        record = await gw.record()
        assert (record["outcome"], record["note"], record["blame"]) == ("upstream_refused", "tls", "upstream")
        assert not up.requests
        assert not any(b"secret" in peer.received for peer in up.peers)


async def test_an_endpoint_that_speaks_no_tls_is_502_and_gets_nothing(tmp_path: Path) -> None:
    received = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read(65536))
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with gateway(config(f"https://127.0.0.1:{port}"), tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(post(b"secret"))).status == 502
            record = await gw.record()
    assert (record["outcome"], record["note"]) == ("upstream_refused", "tls")
    assert received
    assert b"secret" not in received


@pytest.mark.parametrize(("server_name", "status"), [("b.internal", 200), ("c.internal", 502)])
async def test_the_name_an_endpoint_must_prove_can_be_given(tmp_path: Path, server_name: str, status: int) -> None:
    other = make_certificate(tmp_path / "other", "b.internal")
    tls = trust(f'ca = "file:{other.cert}"', f'server_name = "{server_name}"')
    async with ScriptedUpstream(tls=other.server()) as up, stage(up, tmp_path, upstream=tls) as (_, raw):
        assert (await raw.ask(get())).status == status
        assert len(up.requests) == (1 if status == 200 else 0)


@pytest.mark.parametrize("shows", [True, False])
async def test_an_endpoint_that_asks_who_we_are_is_shown_our_certificate(tmp_path: Path, shows: bool) -> None:
    theirs, ours = make_certificate(tmp_path / "theirs", *HERE), make_certificate(tmp_path / "ours", "gateway")
    parts = [f'ca = "file:{theirs.cert}"']
    parts += [f'cert = "file:{ours.cert}"', f'key = "file:{ours.key}"'] if shows else []
    async with (
        ScriptedUpstream(tls=theirs.server(ours)) as up,
        stage(up, tmp_path, upstream=trust(*parts)) as (gw, raw),
    ):
        found = await raw.ask(get())
        record = await gw.record()
        if shows:
            assert found.status == 200
            certificate = up.peers[0].writer.get_extra_info("peercert")
            assert certificate["subject"] == ((("commonName", "gateway"),),)
        else:
            assert found.status == 502
            assert record["outcome"] in ("upstream_refused", "upstream_reset")
            assert not up.requests


async def test_without_an_authority_of_its_own_the_systems_are_asked(tmp_path: Path) -> None:
    """Verification cannot be left out by leaving out its settings."""
    own = make_certificate(tmp_path / "own", *HERE)
    async with ScriptedUpstream(tls=own.server()) as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get())).status == 502
        assert (await gw.record())["note"] == "tls"
        assert not up.requests


async def test_after_a_reload_no_call_goes_out_on_a_connection_made_with_the_old_certificates(tmp_path: Path) -> None:
    """Neither on one that was idle nor on one that was under way; what was under way ends well."""
    own = make_certificate(tmp_path / "own", *HERE)
    async with (
        HoldingUpstream(tls=own.server()) as up,
        stage(up, tmp_path, upstream=trust(f'ca = "file:{own.cert}"') + '\nkeepalive = "60s"') as (gw, held),
        client(gw.port) as idle,
    ):
        for raw in (held, idle):
            await raw.send(get())
        await until(lambda: up.held == 2)
        up.publish()
        assert [(await raw.read_answer()).status for raw in (held, idle)] == [200, 200]
        await held.send(get())
        await until(lambda: up.held == 1)
        assert await soon(gw.app.reload()) == []
        await until(lambda: up.live == 1, "the idle one is closed")
        up.publish()
        assert (await held.read_answer()).status == 200
        await until(lambda: up.live == 0, "the other one is not kept")
        for _ in range(2):
            await held.send(get())
            await until(lambda: up.held == 1)
            up.publish()
            assert (await held.read_answer()).status == 200
        assert (len(up.peers), up.live) == (3, 1), "a new one is kept like any other"


async def test_an_authority_that_is_not_trusted_any_more_is_not_trusted_after_a_reload(tmp_path: Path) -> None:
    own, other = (make_certificate(tmp_path / name, *HERE) for name in ("own", "other"))
    ca = tmp_path / "ca.pem"
    ca.write_bytes(own.cert.read_bytes())
    async with (
        ScriptedUpstream(tls=own.server()) as up,
        stage(up, tmp_path, upstream=trust(f'ca = "file:{ca}"')) as (gw, raw),
    ):
        assert (await raw.ask(get())).status == 200
        ca.write_bytes(other.cert.read_bytes())
        assert await soon(gw.app.reload()) == []
        assert (await raw.ask(get())).status == 502

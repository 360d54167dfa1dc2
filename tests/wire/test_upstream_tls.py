"""TLS towards endpoints: what is verified, what is shown, and that a connection that cannot be trusted carries not one
byte of a request.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import Certificate, make_certificate
from tests.kit.gateways import config, gateway, route
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


BAD: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "unknown authority": (HERE, {}),
    "another name": (("b.internal",), {}),
    "expired": (HERE, {"days": -1}),
    "not valid yet": (HERE, {"days": 4}),
    "a name in its subject alone": ((), {"subject": "CN=127.0.0.1"}),
    "a wildcard for an address": (("*.0.0.1", "*"), {}),
}


@pytest.mark.parametrize("why", BAD)
async def test_an_endpoint_that_cannot_be_trusted_is_502_and_gets_nothing(tmp_path: Path, why: str) -> None:
    names, more = BAD[why]
    shown = make_certificate(tmp_path / "shown", *names, **more)
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


@pytest.mark.parametrize(
    ("server_name", "status"),
    [("b.internal", 200), ("B.INTERNAL", 200), ("c.internal", 502), ("x.d.internal", 200), ("d.internal", 502),
     ("x.y.d.internal", 502), ("127.0.0.1", 502)],
)  # fmt: skip
async def test_the_name_an_endpoint_must_prove_can_be_given(tmp_path: Path, server_name: str, status: int) -> None:
    other = make_certificate(tmp_path / "other", "b.internal", "*.d.internal")
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


@pytest.mark.parametrize(("server_name", "asked"), [(None, None), ("b.internal", "b.internal")])
async def test_an_endpoint_is_asked_for_by_its_name(tmp_path: Path, server_name: str | None, asked: str | None) -> None:
    """So that one that serves many shows the right certificate; an address is no name (RFC 6066 3)."""
    own = make_certificate(tmp_path / "own", *HERE, "b.internal")
    context, names = own.server(), list[str | None]()
    context.sni_callback = lambda _, name, __: names.append(name)
    parts = [f'ca = "file:{own.cert}"', *([f'server_name = "{server_name}"'] if server_name is not None else [])]
    async with ScriptedUpstream(tls=context) as up, stage(up, tmp_path, upstream=trust(*parts)) as (_, raw):
        assert (await raw.ask(get())).status == 200
    assert names == [asked]


@pytest.mark.parametrize("complete", [True, False])
async def test_an_endpoint_shows_the_chain_up_to_its_authority(tmp_path: Path, complete: bool) -> None:
    root = make_certificate(tmp_path / "root", "root")
    between = make_certificate(tmp_path / "between", "between", by=root, signs=True)
    leaf = make_certificate(tmp_path / "leaf", *HERE, by=between)
    if complete:
        leaf.cert.write_bytes(leaf.cert.read_bytes() + between.cert.read_bytes())
    async with (
        ScriptedUpstream(tls=leaf.server()) as up,
        stage(up, tmp_path, upstream=trust(f'ca = "file:{root.cert}"')) as (_, raw),
    ):
        assert (await raw.ask(get())).status == (200 if complete else 502)


async def test_two_upstreams_at_one_address_do_not_share_what_they_trust_or_their_connections(tmp_path: Path) -> None:
    own, other = (make_certificate(tmp_path / name, *HERE) for name in ("own", "other"))
    distrust = trust(f'ca = "file:{other.cert}"')
    async with ScriptedUpstream(tls=own.server()) as up:
        more = f'[upstream.strict]\nendpoints = ["{up.url}"]\n{distrust}\n'
        routes = route() + route("strict", "/strict").replace('"up"', '"strict"')
        tables = {"upstream": trust(f'ca = "file:{own.cert}"'), "more": more, "routes": routes}
        async with stage(up, tmp_path, **tables) as (_, raw):
            found = [(await raw.ask(get(path))).status for path in ("/", "/strict", "/", "/strict")]
    assert found == [200, 502, 200, 502]
    assert len(up.peers) - sum(not peer.received for peer in up.peers) == 1


async def shown_to(up: ScriptedUpstream) -> Any:
    """The subject that the newest connection came with."""
    return up.peers[-1].writer.get_extra_info("peercert")["subject"][0][0][1]


async def test_a_reload_shows_another_certificate_and_a_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path,
) -> None:
    theirs, ca = make_certificate(tmp_path / "theirs", *HERE), make_certificate(tmp_path / "ca", "ca")
    old, new = (make_certificate(tmp_path / name, name, by=ca) for name in ("old", "new"))
    shutil.copytree(old.cert.parent, tmp_path / "shown")
    ours = Certificate(tmp_path / "shown" / "cert.pem", tmp_path / "shown" / "key.pem")
    parts = (f'ca = "file:{theirs.cert}"', f'cert = "file:{ours.cert}"', f'key = "file:{ours.key}"')
    async with ScriptedUpstream(tls=theirs.server(ca)) as up, stage(up, tmp_path, upstream=trust(*parts)) as (gw, raw):
        assert (await raw.ask(get())).status == 200
        assert await shown_to(up) == "old"
        shutil.copy(new.cert, ours.cert)  # and not yet its key
        (problem,) = await soon(gw.app.reload())
        assert "upstream.up.tls: cert and key do not belong together" in problem
        assert (await raw.ask(get())).status == 200
        assert len(up.peers) == 1, "nothing was touched"
        shutil.copy(new.key, ours.key)
        assert await soon(gw.app.reload()) == []
        assert (await raw.ask(get())).status == 200
        assert await shown_to(up) == "new"

"""TLS towards clients, once more: a reload reads certificates and authorities anew, a file that cannot be used changes
nothing, and a session is no way round any of it.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from pathlib import Path

import pytest

from gateway.clock import Clock
from gateway.edge.room import Shed
from tests.kit.certificates import Certificate, make_certificate
from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import soon, until

from .test_client_tls import alice, asks, ca, pair, refused, tls

__all__ = ["alice", "ca"]  # fixtures


async def test_a_reload_reads_certificates_and_authorities_anew_and_leaves_who_is_connected(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate
) -> None:
    """From asking nobody to asking everybody, and to asking for certificates of others, under the same names."""
    shown, vouching = tmp_path / "shown", tmp_path / "vouching.pem"
    shutil.copytree(certificate.cert.parent, shown)
    mine = Certificate(shown / "cert.pem", shown / "key.pem")
    new = make_certificate(tmp_path / "new", "localhost")
    other = make_certificate(tmp_path / "others", "others")
    bob = make_certificate(tmp_path / "bob", "bob", by=other)
    shutil.copy(ca.cert, vouching)
    plain, asking = tls(pair(mine)), tls(pair(mine, f'client_ca = "file:{vouching}"'))
    file = tmp_path / "gateway.toml"
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=plain), tmp_path) as gw,
        client(gw.port, certificate.client()) as old,
    ):
        assert (await old.ask(get())).status == 200
        file.write_text(file.read_text().replace(plain, asking))
        assert await soon(gw.app.reload()) == []
        assert (await old.ask(get())).status == 200
        assert await refused(gw, certificate.client())
        async with client(gw.port, certificate.client(alice)) as raw:
            assert (await raw.ask(get())).status == 200
        shutil.copy(other.cert, vouching)
        shutil.copy(new.cert, mine.cert)
        shutil.copy(new.key, mine.key)
        assert await soon(gw.app.reload()) == []
        assert await refused(gw, new.client(alice))
        async with client(gw.port, new.client(bob)) as raw:
            assert (await raw.ask(get())).status == 200
        assert (await old.ask(get())).status == 200


async def test_a_session_from_before_a_reload_is_no_way_round_it(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate
) -> None:
    """A client may go on with a session of TLS without showing its certificate again, but not when others count."""
    vouching = tmp_path / "vouching.pem"
    shutil.copy(ca.cert, vouching)
    server = tls(pair(certificate, f'client_ca = "file:{vouching}"'))
    context = certificate.client(alice)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in which a session can be had at once
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        session = await asyncio.to_thread(resumed, gw.port, context, None)
        assert session is not None
        assert await asyncio.to_thread(resumed, gw.port, context, session) is not None
        shutil.copy(certificate.cert, vouching)
        assert await soon(gw.app.reload()) == []
        assert await asyncio.to_thread(resumed, gw.port, context, session) is None
        assert [record["certificate"] for record in await gw.records(2)] == ["CN=alice,O=Acme"] * 2


async def test_a_session_does_not_outlast_the_certificate_it_began_with(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate
) -> None:
    wall = [time.time()]
    context = certificate.client(alice)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    text = config(1, server=tls(pair(certificate, asks(ca))))
    async with (
        ScriptedUpstream() as up,
        gateway(text.replace(':1"', f':{up.port}"'), tmp_path, Clock(wall=lambda: wall[0])) as gw,
    ):
        session = await asyncio.to_thread(resumed, gw.port, context, None)
        assert await asyncio.to_thread(resumed, gw.port, context, session) is not None
        wall[0] += 2 * 86400  # for the gateway; the ssl module would let it go on for hours
        assert await asyncio.to_thread(resumed, gw.port, context, session) is None
        await until(lambda: gw.app._edge.room.open == 0)
        assert (gw.app._edge.room.shed[Shed.CERTIFICATE], len(up.requests)) == (1, 2)


def resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Asks once, going on with a session if given, and returns the session; None: it was not let in."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(get("/", "Connection: close"))
            if not (answer := secure.recv(12)):
                return None
            assert answer == b"HTTP/1.1 200"
            assert secure.session_reused == (session is not None)
            return secure.session
    except (ssl.SSLError, ConnectionError):
        return None


@pytest.mark.parametrize("broken", ["the certificate", "its key", "the authority", "the second certificate"])
async def test_a_file_that_cannot_be_used_changes_nothing_and_is_told(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate, broken: str
) -> None:
    shown = tmp_path / "shown"
    shutil.copytree(certificate.cert.parent, shown)
    mine = Certificate(shown / "cert.pem", shown / "key.pem")
    second = make_certificate(tmp_path / "second", "b.example")
    server = tls(pair(mine, asks(ca)), pair(second, asks(ca)))
    file = {"the certificate": mine.cert, "its key": mine.key, "the authority": ca.cert,
            "the second certificate": second.cert}[broken]  # fmt: skip
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        known, nobody, other = certificate.client(alice), certificate.client(), second.client(alice)
        file.write_text(file.read_text()[:100])
        problems = await soon(gw.app.reload())
        assert problems and all(one.partition(".toml: ")[2].startswith("server.tls[") for one in problems)
        async with client(gw.port, known) as raw:
            assert (await raw.ask(get())).status == 200
        assert await refused(gw, nobody)
        async with client(gw.port, other, name="b.example") as raw:
            assert (await raw.ask(get())).status == 200

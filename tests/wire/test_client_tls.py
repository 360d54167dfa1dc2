"""TLS towards clients: the certificate of the host they ask for, their own certificates, what the service and the
record are told of these, and that a reload reads all of it anew.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from gateway.edge.room import Shed
from tests.kit.certificates import Certificate, make_certificate
from tests.kit.gateways import InProcess, config, gateway, gateway_process, hold, process_config, route
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

HEADER = 'identity = { certificate = "X-Cert" }'


def pair(certificate: Certificate, *more: str) -> str:
    files = (f'cert = "file:{certificate.cert}"', f'key = "file:{certificate.key}"')
    return f"{{ {', '.join((*files, *more))} }}"


def tls(*pairs: str) -> str:
    return f"tls = [{', '.join(pairs)}]\n"


def asks(authority: Certificate, auth: str = "require") -> str:
    return f'client_ca = "file:{authority.cert}", client_auth = "{auth}"'


@pytest.fixture
def ca(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path / "ca", "clients")


@pytest.fixture
def alice(tmp_path: Path, ca: Certificate) -> Certificate:
    return make_certificate(tmp_path / "alice", "alice.example", by=ca, subject="CN=alice,O=Acme")


async def refused(gw: InProcess, context: ssl.SSLContext) -> bool:
    """Whether a client is sent away in its handshake; with TLS 1.3 it learns that only behind it."""
    try:
        raw = await soon(connect(gw.port, context))
    except (ssl.SSLError, ConnectionError):
        return True
    try:
        await raw.send(get())
        return await raw.closed()
    except (ssl.SSLError, ConnectionError):
        return True
    finally:
        await raw.close()


async def test_a_client_is_shown_the_certificate_of_the_host_it_asks_for(tmp_path: Path) -> None:
    one, two, three = (make_certificate(tmp_path / name, *names) for name, names in
                       (("1", ("localhost",)), ("2", ("b.example",)), ("3", ("*.c.example",))))  # fmt: skip
    server = tls(*map(pair, (one, two, three)))
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        for trusted, name in ((one, "localhost"), (two, "b.example"), (three, "x.c.example")):
            async with client(gw.port, trusted.client(), name=name) as raw:
                assert (await raw.ask(get())).status == 200
        with pytest.raises(ssl.SSLCertVerificationError):  # nobody has it: the first is shown
            await soon(connect(gw.port, one.client(), name="elsewhere.example"))


@pytest.mark.parametrize("first", [True, False])
async def test_the_service_and_the_record_are_told_whose_certificate_it_was(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate, first: bool
) -> None:
    """With a certificate chosen by name as with the first; what a client says of itself ends here."""
    other = make_certificate(tmp_path / "other", "other.example")
    order = (certificate, other) if first else (other, certificate)
    server = tls(*(pair(each, asks(ca)) for each in order))
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server, upstream=HEADER), tmp_path) as gw,
        client(gw.port, certificate.client(alice)) as raw,
    ):
        for _ in range(2):
            assert (await raw.ask(get("/", "X-Cert: CN=mallory", "x_cert: CN=mallory"))).status == 200
        for request in up.requests:
            assert [value for name, value in request.headers if name.lower().replace("_", "-") == "x-cert"] == [
                "CN=alice,O=Acme"
            ]
        assert [record["certificate"] for record in await gw.records(2)] == ["CN=alice,O=Acme"] * 2


async def test_a_client_that_left_is_recorded_with_its_certificate(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate
) -> None:
    more = {"more": hold(), "routes": route(policies=["poll"])}
    server = tls(pair(certificate, asks(ca)))
    async with HoldingUpstream() as up, gateway(config(up.port, server=server, **more), tmp_path) as gw:
        async with client(gw.port, certificate.client(alice)) as raw:
            await raw.send(get())
            await until(lambda: up.held == 1)
        record = await gw.record()
        assert (record["outcome"], record["certificate"]) == ("client_gone", "CN=alice,O=Acme")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("shows", "said"), [("nothing", "it showed none"), ("of a stranger", "self-signed certificate"),
                        ("expired", "certificate has expired")])  # fmt: skip
async def test_who_shows_no_good_certificate_where_one_is_required_gets_nothing_and_is_told_of(
    tmp_path: Path, certificate: Certificate, ca: Certificate, shows: str, said: str, newest: ssl.TLSVersion,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    own = {
        "nothing": None,
        "of a stranger": make_certificate(tmp_path / "stranger", "alice.example", subject="CN=alice,O=Acme"),
        "expired": make_certificate(tmp_path / "expired", "alice.example", by=ca, days=-1),
    }[shows]
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=tls(pair(certificate, asks(ca)))), tmp_path) as gw,
    ):
        context = certificate.client(own)
        context.maximum_version = newest
        assert await refused(gw, context)
        await until(lambda: gw.app._edge.room.open == 0)
        assert gw.app._edge.room.shed[Shed.CERTIFICATE] == 1
        (told,) = (record.message for record in caplog.records if "client_ca" in record.message)
        assert told.startswith("turned away 1: ") and told.endswith(f"127.0.0.1: {said}")
        assert not up.peers


async def test_where_certificates_are_only_asked_for_others_come_without_a_name(
    tmp_path: Path, certificate: Certificate, ca: Certificate, alice: Certificate
) -> None:
    """A bad one is still no way in."""
    server = tls(pair(certificate, asks(ca, "ask")))
    stranger = make_certificate(tmp_path / "stranger", "alice.example")
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server, upstream=HEADER), tmp_path) as gw:
        for own in (None, alice):
            async with client(gw.port, certificate.client(own)) as raw:
                assert (await raw.ask(get("/", "X-Cert: CN=mallory"))).status == 200
        assert await refused(gw, certificate.client(stranger))
        assert [request.one("X-Cert") for request in up.requests] == [None, "CN=alice,O=Acme"]
        assert [record.get("certificate") for record in await gw.records(2)] == [None, "CN=alice,O=Acme"]


async def test_a_clients_copy_ends_here_although_nobody_is_asked(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, upstream=HEADER), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(get("/", "X-Cert: CN=mallory"))).status == 200
        assert up.requests[0].one("X-Cert") is None


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


def resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Asks once, going on with a session if given, and returns the session; None: it was not let in."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname="localhost", session=session) as secure,
        ):
            secure.sendall(get("/", "Connection: close"))
            assert secure.recv(12) == b"HTTP/1.1 200"
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


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_host_that_is_no_text_does_not_fill_the_log(tmp_path: Path, certificate: Certificate) -> None:
    second = make_certificate(tmp_path / "second", "b.example")
    hello = first_bytes("abcd.example").replace(b"abcd.example", b"\xff\xfecd.example")
    assert b"\xff\xfe" in hello
    async with ScriptedUpstream() as up:
        text = process_config(up.port, server=tls(pair(certificate), pair(second)))
        with gateway_process(text, tmp_path) as gw:
            for _ in range(5):
                raw = await connect(gw.port)
                await raw.send(hello)
                assert await raw.closed()
                await raw.close()
            async with client(gw.port, certificate.client()) as raw:
                assert (await raw.ask(get())).status == 200
            assert "Traceback" not in gw.output.read_text()


def first_bytes(name: str) -> bytes:
    """What a client begins a handshake with."""
    there = ssl.MemoryBIO()
    wanted = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), there, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        wanted.do_handshake()
    return there.read()

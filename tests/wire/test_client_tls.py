"""TLS towards clients: the certificate of the host they ask for, their own certificates, and what the service and
the record are told of these.
"""

from __future__ import annotations

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

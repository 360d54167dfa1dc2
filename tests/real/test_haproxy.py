"""HAProxy before the gateway, forwarding TCP: its own PROXY headers in both versions, with everything it can put into
them, before TLS and over a unix socket, and its health checks.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.edge.room import Shed
from tests.kit.certificates import Certificate, make_certificate
from tests.kit.gateways import InProcess, config, free_port, gateway, read_records
from tests.kit.raw import RawClient, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

HAPROXY = shutil.which("haproxy")
CLIENT = "127.0.0.5"
BEHIND = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n'
pytestmark = pytest.mark.skipif(HAPROXY is None, reason="haproxy is not installed")

WHOLE = """
global
    maxconn 100
defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen gateway
    bind 127.0.0.1:{port} {bind}
    server gateway {target} {send}
"""
EVERYTHING = "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id"


@asynccontextmanager
async def haproxy(folder: Path, target: str, send: str, bind: str = "") -> AsyncIterator[int]:
    """Its port, once it listens."""
    assert HAPROXY is not None
    port, file, log = free_port(), folder / "haproxy.cfg", folder / "haproxy.txt"
    file.write_text(WHOLE.format(port=port, bind=bind, target=target, send=send))
    with log.open("wb") as sink:
        process = subprocess.Popen([HAPROXY, "-db", "-f", str(file)], stdout=sink, stderr=sink)
    try:
        await until(lambda: process.poll() is not None or listens(port), "haproxy")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Looked up and not tried: a connection would be passed on."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any(line.split()[1:4:2] == [f"0100007F:{port:04X}", "0A"] for line in lines)


async def ask(port: int, tls: ssl.SSLContext | None = None) -> int:
    """The status of a request that comes from CLIENT."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, local_addr=(CLIENT, 0), ssl=tls, server_hostname="localhost" if tls else None
    )
    raw = RawClient(writer.get_extra_info("socket"), reader, writer)
    try:
        return (await raw.ask(get())).status
    finally:
        await raw.close()


async def is_the_client(gw: InProcess) -> bool:
    """And nobody was turned away."""
    return (await gw.record())["peer"] == CLIENT and not gw.app._edge.room.shed[Shed.PROXY_HEADER]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path / "tls", "localhost", "127.0.0.1")


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_the_client_of_haproxy_is_the_client(
    tmp_path: Path, certificate: Certificate, send: str, encrypted: bool
) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}\n' if encrypted else ""
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND + tls), tmp_path) as gw:
        async with haproxy(tmp_path, f"127.0.0.1:{gw.port}", send) as port:
            assert await ask(port, certificate.client() if encrypted else None) == 200
        assert await is_the_client(gw)


async def test_all_that_haproxy_can_say_of_a_connection_is_skipped(tmp_path: Path, certificate: Certificate) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.cert.read_bytes() + certificate.key.read_bytes())
    bind = f"ssl crt {both} ca-file {certificate.cert} verify optional"
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        async with haproxy(tmp_path, f"127.0.0.1:{gw.port}", EVERYTHING, bind) as port:
            assert await ask(port, certificate.client(certificate)) == 200
        assert await is_the_client(gw)


async def test_haproxy_reaches_a_unix_socket(tmp_path: Path) -> None:
    socket = tmp_path / "g.sock"
    text = config(1, server=BEHIND, listen=[f"unix:{socket}"])
    async with ScriptedUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        async with haproxy(tmp_path, f"unix@{socket}", "send-proxy-v2") as port:
            assert await ask(port) == 200
        assert await is_the_client(gw)


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
async def test_its_health_checks_are_its_own_and_turn_nobody_away(tmp_path: Path, send: str) -> None:
    """It passes clients on only while it takes the gateway for healthy."""
    checks = f"{send} check check-send-proxy inter 20ms fall 1 rise 1\n    option httpchk GET /healthy"
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        async with haproxy(tmp_path, f"127.0.0.1:{gw.port}", checks) as port:
            await gw.records(3)
            assert await ask(port) == 200
        await until(lambda: gw.app._edge.room.open == 0)
        await until(lambda: any(record["path"] == "/" for record in read_records(gw.log)), "the client's record")
        peers = {record["path"]: record["peer"] for record in read_records(gw.log)}
        assert peers == {"/healthy": "127.0.0.1", "/": CLIENT}
        assert not gw.app._edge.room.shed[Shed.PROXY_HEADER]

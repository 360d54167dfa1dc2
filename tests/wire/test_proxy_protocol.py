"""Behind a proxy that says in a PROXY header whose connection it is: who counts as the client then, and that nobody
else can say it, however the header comes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.edge.proxy_header import MOST
from tests.kit.certificates import Certificate
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.proxy_headers import SIGNATURE, v1, v2
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

from .test_admin_operating import metrics
from .test_reload import reload

BEHIND = 'proxy_protocol = true\ntrusted_proxies = ["127.0.0.0/8"]\n'
CLIENTS = [(v1, "192.0.2.7"), (v1, "2001:db8::7"), (v2, "192.0.2.7"), (v2, "2001:db8::7")]


def tls_of(certificate: Certificate) -> str:
    return f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}\n'


def header_of(write: Any, address: str) -> bytes:
    header: bytes = write(address, "2001:db8::1" if ":" in address else "10.0.0.1")
    return header


async def turned_away(gw: InProcess, reason: str, times: int) -> None:
    """Waits until so many were; whoever was leaves no record and nothing open."""
    await until(lambda: gw.app._edge.room.shed[reason] == times, f"{times} of {gw.app._edge.room.shed}")  # type: ignore[index]
    await until(lambda: gw.app._edge.room.open == 0)
    assert gw.app._edge.room._by_address == {}


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(("write", "address"), CLIENTS)
async def test_the_client_is_whom_the_header_names(
    tmp_path: Path, certificate: Certificate, write: Any, address: str, encrypted: bool
) -> None:
    """For the record, the upstream and whoever lists what is held."""
    server = BEHIND + (tls_of(certificate) if encrypted else "")
    more = {"more": hold(), "routes": route(policies=["poll"])}
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, server=server, **more), tmp_path) as gw,
        client(gw.port, certificate.client() if encrypted else None, first=[header_of(write, address)]) as raw,
    ):
        await raw.send(get())
        await until(lambda: up.held == 1)
        assert [call["peer"] for call in await gw.held()] == [address]
        assert up.requests[0].one("X-Forwarded-For") == address
        up.publish()
        assert (await raw.read_answer()).status == 200
        assert (await gw.record())["peer"] == address


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("header", [v1("192.0.2.7"), v2("192.0.2.7", more=b"\x04\0\x03abc"), b"PROXY UNKNOWN\r\n"])
async def test_a_header_may_come_in_any_two_pieces_and_takes_not_a_byte_of_what_follows(
    tmp_path: Path, certificate: Certificate, header: bytes, encrypted: bool
) -> None:
    """Cut anywhere, also behind its end; the bytes behind it may come with it."""
    server = BEHIND + (tls_of(certificate) if encrypted else "")
    expected = "127.0.0.1" if b"UNKNOWN" in header else "192.0.2.7"
    sent = header if encrypted else header + get()
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        for cut in range(len(header) + (0 if encrypted else 3)):
            first = [sent[:cut], sent[cut:]] if cut else [sent]
            async with client(gw.port, certificate.client() if encrypted else None, first=first) as raw:
                if encrypted:
                    await raw.send(get())
                assert (await raw.read_answer()).status == 200, cut
        assert {record["peer"] for record in await gw.records(len(header))} == {expected}


async def test_a_header_may_come_byte_by_byte(tmp_path: Path) -> None:
    header = v2("192.0.2.7", more=b"x" * 300)
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=BEHIND), tmp_path) as gw,
        client(gw.port, first=[header[at : at + 1] for at in range(len(header))]) as raw,
    ):
        assert (await raw.ask(get())).status == 200
        assert (await gw.record())["peer"] == "192.0.2.7"


async def test_a_header_as_long_as_may_be_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    longest = v2("192.0.2.7", more=b"x" * (MOST - 28))
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        async with client(gw.port, first=[longest]) as raw:
            assert (await raw.ask(get())).status == 200
        async with client(gw.port, first=[v2("192.0.2.7", more=b"x" * (MOST - 27))]) as raw:
            assert await raw.closed()
        await turned_away(gw, "proxy_header", 1)


@pytest.mark.parametrize("health_check", [v2(None), v2("192.0.2.7", command=0x20), b"PROXY UNKNOWN\r\n"])
async def test_a_proxy_may_speak_for_itself(tmp_path: Path, health_check: bytes) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=BEHIND), tmp_path) as gw,
        client(gw.port, first=[health_check]) as raw,
    ):
        assert (await raw.ask(get())).status == 200
        assert (await gw.record())["peer"] == "127.0.0.1"


@pytest.mark.parametrize(
    "sent",
    [get(), b"\x16\x03\x01\x02\0\x01", b"PROXY TCP4 no no 1 2\r\n", b"x", b"PROXY UNKNOWN " + b"y" * 200,
     SIGNATURE + b"\x21\x11\xff\xff" + bytes(5000), v1("192.0.2.7")[:-1] + b" \n", b"\r\n" + v1("192.0.2.7")],
    ids=["a request", "TLS", "no addresses", "one byte", "an endless line", "a huge one", "a bare LF", "too late"],
)  # fmt: skip
async def test_a_proxy_that_sends_no_header_is_closed_and_told_of(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        async with client(gw.port, first=[sent]) as raw:
            assert await raw.closed()
        await turned_away(gw, "proxy_header", 1)
        assert not up.peers
        (told,) = (record.message for record in caplog.records if "PROXY header" in record.message)
        assert told.startswith("turned away 1: ") and "127.0.0.1" in told
        assert (await metrics(gw))["longpoll_shed_total,reason=proxy_header"] == 1


async def test_a_header_that_does_not_end_in_time_ends_the_connection(tmp_path: Path) -> None:
    """Bytes that come one by one do not make the time longer."""
    server = BEHIND + 'header_timeout = "200ms"\n'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        silent, slow = await connect(gw.port), await connect(gw.port, first=[b"PROXY UNKNOWN "])
        sending = asyncio.ensure_future(drip(slow.writer))
        assert await silent.closed()
        await soon(sending)
        for raw in (silent, slow):
            await raw.close()
        await turned_away(gw, "proxy_header", 2)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Sends a byte now and then until the other side closes."""
    try:
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.02)
    except ConnectionError:
        pass


async def test_a_port_that_was_only_looked_at_is_nothing_to_tell_of(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        raw = await connect(gw.port)
        await until(lambda: gw.app._edge.room.open == 1)
        await raw.close()
        await turned_away(gw, "proxy_header", 0)


@pytest.mark.parametrize("sent", [get(), v1("192.0.2.7") + get(), v2("192.0.2.7") + get()])
async def test_who_is_no_trusted_proxy_is_closed_whatever_it_sends(
    tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = 'proxy_protocol = true\ntrusted_proxies = ["192.0.2.0/24"]\n'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        raw = await connect(gw.port)
        raw.writer.write(sent)
        assert await raw.closed()
        await raw.close()
        await turned_away(gw, "no_proxy", 1)
        assert not up.peers
        (told,) = (record.message for record in caplog.records if "trusted_proxies" in record.message)
        assert told.startswith("turned away 1: ") and told.endswith("127.0.0.1")


@pytest.mark.parametrize(("shown", "told"), [("network", "127.0.0.0/24"), ("none", "an address that is not shown")])
async def test_an_address_is_told_as_far_as_the_log_may_have_it(
    tmp_path: Path, shown: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = 'proxy_protocol = true\ntrusted_proxies = ["192.0.2.0/24"]\n'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server, log=f'peer = "{shown}"'), tmp_path) as gw,
    ):
        raw = await connect(gw.port)
        assert await raw.closed()
        await raw.close()
        await turned_away(gw, "no_proxy", 1)
        (line,) = (record.message for record in caplog.records if "trusted_proxies" in record.message)
        assert line.endswith(f"the last came from {told}")


async def test_without_proxy_protocol_a_header_is_no_request(tmp_path: Path) -> None:
    """A trusted proxy does not change what a listener speaks: nothing is guessed."""
    server = 'trusted_proxies = ["127.0.0.0/8"]\n'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server), tmp_path) as gw,
        client(gw.port, first=[v1("192.0.2.7")]) as raw,
    ):
        assert (await raw.ask(get())).status == 400
        assert not up.peers


async def test_who_reaches_a_unix_socket_may_say_whose_connection_it_is(tmp_path: Path) -> None:
    listen = [f"unix:{tmp_path}/g.sock"]
    async with ScriptedUpstream() as up, gateway(config(up.port, listen=listen, server=BEHIND), tmp_path) as gw:
        for first in (v2("192.0.2.7"), v2(None)):
            async with client(tmp_path / "g.sock", first=[first]) as raw:
                assert (await raw.ask(get())).status == 200
        async with client(tmp_path / "g.sock", first=[get()]) as raw:
            assert await raw.closed()
        await turned_away(gw, "proxy_header", 1)
        assert [record["peer"] for record in await gw.records(2)] == ["192.0.2.7", ""]


async def test_a_reload_turns_it_on_for_connections_that_come_from_then_on(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as old:
        assert (await old.ask(get())).status == 200
        assert await reload(gw, config(up.port, server=BEHIND)) == []
        assert (await old.ask(get())).status == 200
        async with client(gw.port, first=[v1("192.0.2.7")]) as new:
            assert (await new.ask(get())).status == 200
        assert [record["peer"] for record in await gw.records(3)] == ["127.0.0.1", "127.0.0.1", "192.0.2.7"]


async def test_a_stop_does_not_wait_for_a_header(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, server=BEHIND), tmp_path) as gw:
        raw = await connect(gw.port, first=[b"PROXY "])
        await until(lambda: gw.app._edge.room.open == 1)
        await soon(gw.app.stop())
        assert await raw.closed()
        await raw.close()
        await until(lambda: gw.app._edge.room.open == 0)

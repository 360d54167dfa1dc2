"""No more room: who comes is told so or waits at the door, new polls are the first that are not taken, and nothing that
is parked notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.descriptors import DescriptorError
from gateway.edge.room import AWAY, Shed
from tests.kit.certificates import Certificate
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

POLLS = {"more": hold(), "routes": route("polls", "/poll", ["poll"]) + route("calls", "/call")}


@contextlib.asynccontextmanager
async def full(up: HoldingUpstream, folder: Path, server: str, held: int) -> AsyncIterator[InProcess]:
    """A gateway with so many polls held; all of them get their news in the end."""
    async with gateway(config(up.port, server=server, **POLLS), folder) as gw:
        parked = [await connect(gw.port) for _ in range(held)]
        for raw in parked:
            await raw.send(get("/poll"))
        await until(lambda: up.held == held)
        yield gw
        assert up.publish(b"[7]") >= held
        for raw in parked:
            found = await raw.read_answer()
            assert (found.status, bytes(found.body)) == (200, b"[7]"), "what is parked is never harmed"
            await raw.close()


async def told(raw: RawClient) -> tuple[int, bool, str | None]:
    """Status, whether it says when to come back, and the connection's fate."""
    found = await raw.read_answer()
    return found.status, int(found.one("Retry-After") or 0) >= 1, found.one("Connection")


async def test_who_comes_when_all_connections_are_taken_gets_503_and_the_next_place(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "max_connections = 25", 23) as gw:
        async with client(gw.port) as one, client(gw.port) as two, client(gw.port) as late:
            await one.ask(get("/call", method="TRACE"))
            await two.ask(get("/call", method="TRACE"))
            assert await told(late) == (503, True, "close")
            assert await late.closed()
            assert gw.app._edge.room.shed[Shed.CONNECTIONS] == 1
        await until(lambda: gw.app._edge.room.open == 23)
        async with client(gw.port) as again:
            assert (await again.ask(get("/call", method="TRACE"))).status == 405


async def test_new_polls_are_the_first_that_are_not_taken(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "max_connections = 40", 38) as gw:
        async with client(gw.port) as poll, client(gw.port) as call:
            await poll.send(get("/poll"))
            assert await told(poll) == (503, True, "close")
            assert (await call.ask(get("/call", method="TRACE"))).status == 405
        records = await gw.records(1)
        assert [record["outcome"] for record in records if record["route"] == "polls"][:1] == ["overloaded"]


async def test_beyond_those_who_can_be_told_they_wait_at_the_door(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "max_connections = 25", 24) as gw:
        last = await connect(gw.port)
        await last.ask(get("/call", method="TRACE"))
        away = [await connect(gw.port) for _ in range(AWAY)]
        await until(lambda: gw.app._edge.room.shut)
        waits = await connect(gw.port)
        await waits.send(get("/call", "Connection: close", method="TRACE"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(gw.app._edge.room._wanting) == 1, "the door sleeps until somebody leaves"
        assert [await told(raw) for raw in away] == [(503, True, "close")] * AWAY
        await last.close()
        assert (await waits.read_answer()).status == 405
        for raw in (*away, waits):
            await raw.close()


async def test_who_is_turned_away_and_has_left_already_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        full(up, tmp_path, "max_connections = 25", 24) as gw,
        client(gw.port) as last,
    ):
        await last.ask(get("/call", method="TRACE"))
        for _ in range(2 * AWAY):
            socket.create_connection(("127.0.0.1", gw.port)).close()  # in one turn of the loop
        await until(lambda: gw.app._edge.room.shed[Shed.CONNECTIONS] == 2 * AWAY)
        await until(lambda: gw.app._edge.room.away == 0)


async def test_who_waits_at_the_door_comes_in_when_somebody_inside_leaves(tmp_path: Path) -> None:
    """Also while those who are told stay where they are."""
    async with HoldingUpstream() as up, full(up, tmp_path, "max_connections = 25", 24) as gw:
        last = await connect(gw.port)
        await last.ask(get("/call", method="TRACE"))
        away = [await connect(gw.port) for _ in range(AWAY)]
        await until(lambda: gw.app._edge.room.shut)
        waits = await connect(gw.port)
        await waits.send(get("/call", "Connection: close", method="TRACE"))
        await last.close()
        assert (await waits.read_answer()).status == 405
        for raw in (*away, waits):
            await raw.close()


async def test_of_one_address_only_so_many_are_told(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "per_address = { connections = 1 }", 1) as gw:
        crowd = [await connect(gw.port) for _ in range(AWAY + 5)]
        await until(lambda: gw.app._edge.room.shed[Shed.ADDRESS] == AWAY + 5)
        assert gw.app._edge.room.away <= AWAY
        answers = [await raw.read_all() for raw in crowd]
        assert [[one.status for one in each] for each in answers] == [[429]] * AWAY + [[]] * 5
        for raw in crowd:
            await raw.close()
        await until(lambda: gw.app._edge.room.away == 0)


async def test_one_address_has_its_share_and_the_others_theirs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "per_address = { connections = 3 }", 3) as gw:
        for _ in range(5):
            async with client(gw.port) as late:
                assert await told(late) == (429, True, "close")
        said = [record.message for record in caplog.records if "turned away" in record.message]
        assert len(said) == 1, "once a second"
        assert said[0].startswith("turned away 1: an address has 3 connections (server.per_address); if it is a proxy")


async def test_a_trusted_proxy_is_many_clients(tmp_path: Path) -> None:
    server = 'per_address = { connections = 2 }\ntrusted_proxies = ["127.0.0.1"]'
    async with HoldingUpstream() as up, full(up, tmp_path, server, 10):
        pass


async def test_over_tls_too(tmp_path: Path, certificate: Certificate) -> None:
    server = f'max_connections = 1\ntls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server), tmp_path) as gw,
        client(gw.port, certificate.client()) as raw,
        client(gw.port, certificate.client()) as late,
    ):
        assert await told(late) == (503, True, "close")
        assert (await raw.ask(get())).status == 200


async def test_a_handshake_that_fails_gives_its_place_back(tmp_path: Path, certificate: Certificate) -> None:
    server = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        async with client(gw.port) as raw:
            await raw.send(get())
            assert await raw.closed()
        await until(lambda: gw.app._edge.room.open == 0)


async def test_who_cannot_be_told_is_forgotten_too(tmp_path: Path, certificate: Certificate) -> None:
    server = f'max_connections = 1\ntls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=server), tmp_path) as gw,
        client(gw.port, certificate.client()) as raw,
    ):
        async with client(gw.port) as plain:
            await plain.send(get())
            assert await plain.closed()
        await until(lambda: gw.app._edge.room.shed[Shed.CONNECTIONS] == 1 and gw.app._edge.room.away == 0)
        assert (await raw.ask(get())).status == 200


async def test_a_handshake_that_never_comes_has_the_clock_of_a_head(tmp_path: Path, certificate: Certificate) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    server = f'header_timeout = "200ms"\n{tls}'
    async with ScriptedUpstream() as up, gateway(config(up.port, server=server), tmp_path) as gw:
        async with client(gw.port) as silent:
            assert await silent.closed()
        await until(lambda: gw.app._edge.room.open == 0)


async def test_a_handshake_under_way_ends_with_the_gateway(tmp_path: Path, certificate: Certificate) -> None:
    tls = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=f'header_timeout = "60s"\n{tls}'), tmp_path) as gw,
        client(gw.port) as silent,
    ):
        await until(lambda: gw.app._edge.room.open == 1)
        await gw.app.stop()
        assert await silent.closed()
        await until(lambda: gw.app._edge.room.open == 0)


async def test_while_the_system_has_no_descriptor_they_wait(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "", 1) as gw:
        room = gw.app._edge.room
        with socket.create_connection(("127.0.0.1", gw.port)) as waits, none_left():
            waits.sendall(get("/call", "Connection: close", method="TRACE"))
            await until(lambda: room.shed[Shed.DESCRIPTORS] == 1)
            for _ in range(20):
                await asyncio.sleep(0)
            assert room.shed[Shed.DESCRIPTORS] == 1, "it is not tried again in every turn of the loop"
        async with client(gw.port) as late:
            assert (await late.ask(get("/call", method="TRACE"))).status == 405
        said = [record.message for record in caplog.records if "turned away" in record.message]
        assert said == ["turned away 1: the system has no file descriptor left"]


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """This process can open nothing more while the block runs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 1, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)


async def test_idle_upstream_connections_make_room_for_others(tmp_path: Path) -> None:
    more = 'keepalive = "60s"\n[upstream.other]\nendpoints = ["http://127.0.0.1:{port}"]\n'
    routes = route() + '[[route]]\nname = "other"\nmatch = { path = "/other" }\nupstream = "other"\n'
    async with HoldingUpstream() as up, ScriptedUpstream() as other:
        text = config(up.port, server="max_connections = 3", upstream=more.format(port=other.port), routes=routes)
        async with gateway(text, tmp_path) as gw:
            busy = [await connect(gw.port) for _ in range(3)]
            for raw in busy:
                await raw.send(get())
            await until(lambda: up.held == 3)
            up.publish()
            assert [(await raw.read_answer()).status for raw in busy] == [200] * 3
            assert (await busy[0].ask(get("/other"))).status == 200
            await until(lambda: up.live == 2, "the oldest idle connection is closed for the new one")
            for raw in busy:
                await raw.close()


async def test_a_number_that_cannot_fit_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError, match=r"max_connections = 10000000 needs .* write \d+ or less"):
        async with gateway(config(1, server="max_connections = 10000000"), tmp_path):
            pass


async def test_a_crowd_at_the_door_is_told_once_a_second(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with HoldingUpstream() as up, full(up, tmp_path, "max_connections = 2", 1) as gw:
        async with client(gw.port) as one:
            await one.ask(get("/call", method="TRACE"))
            crowd = [await connect(gw.port) for _ in range(100)]
            for raw in crowd:
                await raw.close()
            await until(lambda: gw.app._edge.room.away == 0)
            await asyncio.sleep(0)
        assert len([record for record in caplog.records if "turned away" in record.message]) <= 3

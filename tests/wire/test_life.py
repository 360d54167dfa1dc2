"""The end of a gateway: what SIGTERM does to each kind of poll, what readiness says meanwhile, and that the process
exits by itself. Signals need a process; the table of endings is also run on the test's loop.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, gateway_process, hold, process_config, route
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

SHORT = 'drain = "500ms"\nstop_grace = "10s"'
LONG = 'drain = "300s"\nstop_grace = "600s"'
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process


def polls(who: str = "") -> dict[str, str]:
    if not who:
        return {"more": hold(), "routes": route(policies=["poll"])}
    table = hold(empty=f'{{ answer = "{who}" }}', replay='"destructive"')
    return {"more": table, "routes": route(policies=["poll"])}


async def park(port: int, up: HoldingUpstream, count: int) -> list[RawClient]:
    clients = [await connect(port) for _ in range(count)]
    for raw in clients:
        await raw.send(get())
    await until(lambda: up.held == count)
    return clients


def listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


async def leave(clients: list[RawClient]) -> None:
    for raw in clients:
        await raw.close()


@ITS_OWN_LOOP
async def test_sigterm_answers_parked_template_polls(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, server=SHORT, **polls()), tmp_path) as gw:
            clients = await park(gw.port, up, 20)
            gw.terminate()
            for raw in clients:
                found = await raw.read_answer()
                assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[]", "close")
                assert await raw.closed()
            assert await gw.exit_code() == 0
            assert [record["outcome"] for record in await gw.records(20)] == ["drained"] * 20
            await until(lambda: up.live == 0)
            await leave(clients)


@ITS_OWN_LOOP
async def test_readiness_is_red_while_draining_and_a_second_sigterm_stops_now(tmp_path: Path) -> None:
    more = hold(empty='{ answer = "origin" }', replay='"destructive"', absent='"1000s"', max='"1000s"')
    text = {"more": more, "routes": route(policies=["poll"])}
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, server=LONG, **text), tmp_path) as gw:
            assert [(await gw.admin(path))[0] for path in ("/healthz", "/readyz")] == [200, 200]
            clients = await park(gw.port, up, 3)
            gw.terminate()
            status = 200
            while status == 200:
                status = (await gw.admin("/readyz"))[0]
            assert status == 503
            assert (await gw.admin("/healthz"))[0] == 200
            assert gw.process.poll() is None
            gw.terminate()
            assert await gw.exit_code() == 0
            await until(lambda: up.live == 0)
            await leave(clients)


@ITS_OWN_LOOP
async def test_sigterm_lets_the_upstream_answer_origin_polls_inside_the_window(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, server=LONG, **polls("origin")), tmp_path) as gw:
            clients = await park(gw.port, up, 3)
            gw.terminate()
            await until(lambda: not listening(gw.port))
            assert up.publish(b'["last"]') == 3
            for raw in clients:
                found = await raw.read_answer()
                assert (found.status, bytes(found.body)) == (200, b'["last"]')
            assert await gw.exit_code() == 0
            assert [record["outcome"] for record in await gw.records(3)] == ["news"] * 3
            await leave(clients)


@ITS_OWN_LOOP
async def test_an_ordinary_call_finishes_after_sigterm(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, server=LONG), tmp_path) as gw:
            (raw,) = await park(gw.port, up, 1)
            gw.terminate()
            await until(lambda: not listening(gw.port))
            up.publish(b"done")
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"done", "close")
            assert await gw.exit_code() == 0
            await leave([raw])


@ITS_OWN_LOOP
async def test_sigterm_of_an_idle_gateway_is_an_exit_at_once(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, server=LONG), tmp_path) as gw:
            idle = await connect(gw.port)
            gw.terminate()
            assert await gw.exit_code() == 0
            assert await idle.closed()
            await idle.close()
            assert "Traceback" not in gw.output.read_text()


async def test_draining_tells_every_parked_poll_no_news(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=SHORT, **polls()), tmp_path) as gw:
        clients = await park(gw.port, up, 50)
        await soon(gw.app.drain())
        found = [await raw.read_answer() for raw in clients]
        assert {(one.status, bytes(one.body), one.one("Connection")) for one in found} == {(200, b"[]", "close")}
        assert len(await gw.records(50)) == 50
        await until(lambda: up.live == 0)
        await leave(clients)


async def test_every_parked_poll_has_an_instant_of_its_own_in_the_window(tmp_path: Path) -> None:
    text = {"more": hold(absent='"1000s"', max='"1000s"'), "routes": route(policies=["poll"])}
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **text), tmp_path) as gw:
        clients = await park(gw.port, up, 50)
        gw.app.begin_drain()
        await until(lambda: not listening(gw.port))
        ends = sorted(call["ends_in"] for call in await gw.held())
        assert len({*ends}) > 45, "at random, and told to the millisecond: two may be alike"
        assert ends[-1] <= 0.8 * 300
        assert ends[0] < 60 and ends[25] < 200 and ends[-1] > 100, "over the whole window, not near one of its ends"
        await gw.app.stop()
        await leave(clients)


@pytest.mark.parametrize("who", ["origin", "never"])
async def test_what_may_not_be_answered_for_the_upstream_is_ended_with_the_window(tmp_path: Path, who: str) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=SHORT, **polls(who)), tmp_path) as gw:
        (raw,) = await park(gw.port, up, 1)
        await soon(gw.app.drain())
        answers = await raw.read_all()
        if who == "origin":
            assert [one.status for one in answers] == [503]
            assert int(answers[0].one("Retry-After") or 0) >= 1
        else:
            assert answers == [], "nobody may say anything: the connection is closed"
        assert (await gw.record())["outcome"] == "drained"
        await until(lambda: up.live == 0)
        await raw.close()


@pytest.mark.usefixtures("halfway")
async def test_a_poll_on_a_live_connection_is_held_for_a_while_inside_the_window(tmp_path: Path) -> None:
    more = hold(absent='"1000s"', max='"1000s"')
    text = {"more": more, "routes": route(policies=["poll"])}
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **text), tmp_path) as gw:
        idle = await connect(gw.port)
        assert (await idle.ask(get("/", method="TRACE"))).status == 405
        (held,) = await park(gw.port, up, 1)
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: not listening(gw.port))
        await idle.send(get("/?late"))
        await until(lambda: up.held == 2)
        assert [(call["clamped_by"], call["ends_in"] <= 240) for call in await gw.held()] == [("drain", True)] * 2
        assert up.publish(b'["last"]') == 2
        for raw in (idle, held):
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b'["last"]', "close")
        await soon(draining)
        await leave([idle, held])


async def test_readiness_is_red_before_the_listeners_close(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server = f'{LONG}\nshutdown_delay = "100s"'
    async with HoldingUpstream() as up, gateway(config(up.port, server=server, **polls()), tmp_path) as gw:
        (held,) = await park(gw.port, up, 1)
        draining = asyncio.create_task(gw.app.drain())
        await asyncio.sleep(0)
        assert (await gw.admin("/readyz"))[0] == 503
        async with client(gw.port) as late:
            await late.send(get())
            await until(lambda: up.held == 2)
            assert {call["clamped_by"] for call in await gw.held()} == {None}, "nothing is ended yet"
            up.publish(b"[7]")
            found = await late.read_answer()
            assert (found.status, found.one("Connection")) == (200, None)
        assert (await held.read_answer()).status == 200
        await gw.app.stop()
        await soon(draining)
        assert not [record for record in caplog.records if record.message.startswith("draining")], "it was stopped"
        await leave([held])


async def test_who_waits_in_the_queue_of_a_listener_that_closes_is_served(tmp_path: Path) -> None:
    """A connection that the kernel accepted is a promise, also when nobody has taken it yet."""
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG), tmp_path) as gw:
        waiting = [socket.create_connection(("127.0.0.1", gw.port)) for _ in range(100)]
        for sock in waiting:  # in one turn of the loop: nothing was accepted yet
            sock.sendall(get())
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: up.held == 100)
        up.publish(b"[7]")
        for sock in waiting:
            with sock:
                assert (await asyncio.to_thread(sock.recv, 12)) == b"HTTP/1.1 200"
        await soon(draining)


async def test_stop_ends_everything_and_records_it(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **polls()), tmp_path) as gw:
        clients = await park(gw.port, up, 10)
        await soon(gw.app.stop())
        assert [record["outcome"] for record in await gw.records(10)] == ["drained"] * 10
        await until(lambda: up.live == 0)
        for raw in clients:
            assert len(await raw.read_all()) <= 1
        await leave(clients)

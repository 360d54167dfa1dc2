"""Several workers under a supervisor: they share one listening socket, one that is killed takes only its own calls with
it and is started again, and the end of the machine loses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.machines import PROCESSES, Machine, machine, machine_config
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.strict import Cut
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(180)  # three processes start, beside many others
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process
POLL = {"more": hold(), "routes": route(policies=["poll"])}
DRAIN = 'drain = "300ms"\nstop_grace = "10s"'
MANY = 40


async def polled(gw: Machine, up: HoldingUpstream, many: int = MANY) -> list[RawClient]:
    """So many clients, each with a poll that is held."""
    clients = [await connect(gw.port) for _ in range(many)]
    for raw in clients:
        await raw.send(get())
    await until(lambda: up.held == many)
    return clients


async def status(raw: RawClient) -> int:
    """How a poll ended; 0 is without an answer."""
    try:
        return (await raw.read_answer()).status
    except Cut:
        return 0
    finally:
        await raw.close()


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


@ITS_OWN_LOOP
async def test_all_workers_take_connections(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            clients = await polled(gw, up)
            held = await gw.held_by()
            assert [bool(calls) for calls in held.values()] == [True, True]
            assert sum(map(len, held.values())) == MANY
            up.publish()
            assert [await status(raw) for raw in clients] == [200] * MANY


@ITS_OWN_LOOP
async def test_a_killed_worker_takes_only_its_own_polls_with_it_and_comes_back(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            clients = await polled(gw, up)
            held = await gw.held_by()
            killed = gw.kill(1)
            await until(lambda: up.held == len(held[0]))
            async with client(gw.port) as raw:  # the other one takes new ones meanwhile
                await raw.send(get())
                await until(lambda: up.held == len(held[0]) + 1)
                await gw.until_serving(2)
                up.publish()
                assert (await raw.read_answer()).status == 200
            ended = [await status(raw) for raw in clients]
            assert (ended.count(200), ended.count(0)) == (len(held[0]), len(held[1]))
            assert gw.workers[1].pid != killed
            (line,) = [line for line in gw.said().splitlines() if "started again" in line]
            assert line.startswith(f"ERROR worker 1 (pid {killed}) was ended by SIGKILL")
            assert line.endswith("it is started again in 0.1s")


@ITS_OWN_LOOP
async def test_sigterm_answers_every_poll_of_every_worker(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, server=DRAIN, **POLL), tmp_path) as gw:
            clients = await polled(gw, up)
            directory = gw.workers[0].directory
            gw.terminate()
            assert [await status(raw) for raw in clients] == [200] * MANY
            assert await gw.exit_code() == 0
            assert not directory.exists()
            assert gw.systemd.heard("STOPPING")
        assert "Traceback" not in gw.said()


@ITS_OWN_LOOP
async def test_whoever_connects_while_the_listeners_close_is_refused_or_answered(tmp_path: Path) -> None:
    """Nobody who was told that he is connected is left in a queue that ends."""
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, server=DRAIN, **POLL), tmp_path) as gw:
            clients: list[RawClient] = []
            gw.terminate()
            with contextlib.suppress(ConnectionError):  # reset, where he was refused at the last moment
                while True:
                    clients.append(await connect(gw.port))
                    await clients[-1].send(get())
            assert [await status(raw) for raw in clients] == [200] * len(clients)
            assert await gw.exit_code() == 0


@ITS_OWN_LOOP
async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        slow = {"more": hold(empty='{ answer = "origin" }'), "routes": route(policies=["poll"])}
        with machine(machine_config(up.port, **slow), tmp_path) as gw:
            clients = await polled(gw, up, 4)
            gw.process.send_signal(signal.SIGINT)
            await until(lambda: gw.said().count(": draining for") == 2)
            gw.process.send_signal(signal.SIGINT)
            assert await gw.exit_code() == 0
            assert [await status(raw) for raw in clients] == [0] * 4


@ITS_OWN_LOOP
async def test_workers_of_a_killed_supervisor_answer_what_they_hold_and_end(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        text = machine_config(up.port, server=DRAIN, **POLL)
        with machine(text, tmp_path) as gw:
            clients = await polled(gw, up)
            workers = gw.workers.values()
            gw.process.kill()
            assert [await status(raw) for raw in clients] == [200] * MANY
            await until(lambda: not any(alive(each.pid) for each in workers), limit=PROCESSES)
            assert not any(each.directory.exists() for each in workers)
        with machine(text, tmp_path):  # on the same addresses
            pass


@ITS_OWN_LOOP
async def test_signals_to_a_worker_are_its_supervisors_business(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            before = gw.workers
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
                gw.kill(0, number)
            gw.process.send_signal(signal.SIGUSR1)
            await until(lambda: "WARNING SIGUSR1 changes nothing" in gw.said())
            clients = await polled(gw, up, 4)
            await asyncio.sleep(0)
            assert gw.workers == before
            up.publish()
            assert [await status(raw) for raw in clients] == [200] * 4

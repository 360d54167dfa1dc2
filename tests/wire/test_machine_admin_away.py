"""The admin listener of a machine while a worker is not there: killed, stopped, or started again. No page waits for it,
the answer says who is missing, no total goes back, and what an operator ordered counts for who comes later.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import hold
from tests.kit.machines import Machine, machine, machine_config
from tests.kit.polls import end, listed, polling
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until
from tests.wire.test_machine_admin import MANY, POLL, samples, told

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])
PAGES = ("/healthz", "/api/held", "/api/overview", "/api/upstreams", "/api/routes", "/api/limits", "/api/workers")


async def ask(gw: Machine, method: str, page: str, body: bytes = b"") -> tuple[int, Any]:
    """What an operator orders, and is told."""
    head = f"{method} {page} HTTP/1.1\r\nHost: localhost\r\nGateway-Admin: 1\r\nContent-Length: {len(body)}\r\n\r\n"
    async with client(gw.admin_port) as raw:
        found = await raw.ask(head.encode() + body, method)
    return found.status, json.loads(bytes(found.body))


def missing(found: Any) -> list[int]:
    return [one["worker"] for one in found.get("missing", [])]


async def test_a_stopped_worker_keeps_nobody_waiting_and_does_nothing_late(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY):
                await until(lambda: up.held == MANY)
                before = await samples(gw)
                its = len((await gw.held_by())[1])
                pid = gw.kill(1, signal.SIGSTOP)
                for page in PAGES:
                    assert missing(await soon(told(gw, page))) == [1], page
                ready = await told(gw, "/readyz")
                assert ready["ready"] and "worker 1: does not answer" in ready["detail"]
                now = await samples(gw)
                assert (now["gateway_workers silent"], now["gateway_workers ready"]) == (1, 1)
                assert now["longpoll_held updates parked"] == before["longpoll_held updates parked"] == MANY
                said = await end(gw, all=True)
                assert (said["ended"], missing(said)) == (MANY - its, [1])
                os.kill(pid, signal.SIGCONT)
                while "missing" in await told(gw, "/readyz"):
                    await asyncio.sleep(0.05)
                assert len((await gw.held_by())[1]) == its == up.held, "what it was told while it was stopped is void"
                assert (await end(gw, all=True))["ended"] == its


async def test_a_killed_worker_is_named_and_no_total_ever_goes_back(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY) as clients:
                await until(lambda: up.held == MANY)
                up.publish()
                for raw in clients:
                    await raw.read_answer()
                    await raw.send(get())
                await until(lambda: up.held == MANY)
                counted = await samples(gw)
                seen = [await told(gw, "/api/overview")]
                gw.kill(0)
                restarts = 0.0
                while restarts == 0 or "missing" in seen[-1]:
                    seen.append(await told(gw, "/api/overview"))
                    now = await samples(gw)
                    restarts = now["gateway_worker_restarts_total 0"]
                    assert not back(counted, now)
                    counted = now
                assert [each["totals"]["updates"]["polls"]["news"] for each in seen] == [MANY] * len(seen)
                assert counted["longpoll_calls_total updates true news"] == MANY
                left = len((await gw.held_by())[1])
                assert counted["longpoll_held updates parked"] == left < MANY
                worker = (await told(gw, "/api/workers"))["workers"][0]
                assert (worker["state"], worker["restarts"], worker["held"]) == ("ready", 1, 0)
                assert all(each["ready"] for each in seen)


def back(before: dict[str, float], now: dict[str, float]) -> list[str]:
    """Counters of the gateway that are less than they were. A worker's own processor time begins with it."""
    ends = ("_total", "_bucket", "_count", "_sum")
    return [
        name for name, value in before.items()
        if name.split(" ")[0].endswith(ends) and "_cpu_" not in name and now.get(name, 0.0) < value
    ]  # fmt: skip


async def test_an_endpoint_by_hand_is_one_in_all_workers_also_in_those_that_come_later(tmp_path: Path) -> None:
    async with HoldingUpstream() as one, HoldingUpstream() as two:
        with machine(machine_config(one.port, **POLL), tmp_path) as gw:
            page = "/api/upstreams/up/endpoints"
            status, found = await ask(gw, "POST", page, json.dumps({"url": two.url}).encode())
            assert (status, len(found["endpoints"])) == (201, 2)
            assert await endpoints(gw) == {0: 2, 1: 2}
            status, found = await ask(gw, "POST", page, json.dumps({"url": two.url}).encode())
            assert (status, "is an endpoint already" in found["error"]) == (409, True)
            status, found = await ask(gw, "POST", f"{page}/127.0.0.1:{one.port}/drain")
            assert (status, len(found["endpoints"]), found["members"][0]["drained"]) == (
                200, 1, [f"127.0.0.1:{one.port}"],
            )  # fmt: skip
            gw.kill(0)
            await gw.until_serving(1)
            await gw.until_serving(2)
            while await members(gw, 0) != await members(gw, 1):
                await asyncio.sleep(0.05)
            assert len(await members(gw, 0)) == 2
            assert (await ask(gw, "DELETE", f"{page}/127.0.0.1:{one.port}/drain"))[0] == 200
            assert await endpoints(gw) == {0: 2, 1: 2}
            assert (await ask(gw, "POST", "/api/reload"))[0] == 200
            assert await endpoints(gw) == {0: 1, 1: 1}
            gw.kill(1)
            await gw.until_serving(1)
            await gw.until_serving(2)
            assert await endpoints(gw) == {0: 1, 1: 1}, "the file is the truth again, for who comes later too"


async def test_what_one_worker_refuses_is_taken_back_in_the_others(tmp_path: Path) -> None:
    async with HoldingUpstream() as one, HoldingUpstream() as two:
        with machine(machine_config(one.port, two.port, **POLL), tmp_path) as gw:
            page = "/api/upstreams/up/endpoints"
            alone = await asyncio.to_thread(of_worker, gw, 1, f"{page}/127.0.0.1:{two.port}/drain")
            assert alone == 200
            status, found = await ask(gw, "POST", f"{page}/127.0.0.1:{one.port}/drain")
            assert status == 409 and found["error"].startswith("worker 1: ")
            assert await endpoints(gw) == {0: 2, 1: 1}


def of_worker(gw: Machine, number: int, page: str) -> int:
    """Does this to one worker, behind the machine's back."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(gw.workers[number].directory / f"worker-{number}.sock"))
        connection = http.client.HTTPConnection("localhost")
        connection.sock = sock
        connection.request("POST", page, headers={"Gateway-Admin": "1"})
        return connection.getresponse().status


async def members(gw: Machine, number: int) -> Any:
    """The members of a worker's only upstream, and what is drained of each."""
    (upstream,) = (await gw.of_worker(number, "/api/upstreams"))["upstreams"]
    return [(one["name"], one["drained"]) for one in upstream["members"]]


async def endpoints(gw: Machine) -> dict[int, int]:
    """How many endpoints take calls, by worker."""
    found = {number: await gw.of_worker(number, "/api/upstreams") for number in sorted(gw.workers)}
    return {number: len(one["upstreams"][0]["endpoints"]) for number, one in found.items()}


async def test_the_dashboard_goes_on_while_a_worker_is_away(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY), client(gw.admin_port) as raw:
                await until(lambda: up.held == MANY)
                await raw.send(get("/api/stream"))
                await soon(raw.reader.readuntil(b"\r\n\r\n"))
                first = await event(raw)
                assert [one["state"] for one in first["workers"]] == ["ready", "ready"]
                assert first["held"]["total"] == MANY and {"limits", "advice", "plots"} <= set(first)
                gw.kill(1, signal.SIGSTOP)
                seen = await event(raw)
                while missing(seen) != [1]:
                    seen = await event(raw)
                assert [one["state"] for one in seen["workers"]] == ["ready", "silent"]
                assert seen["held"]["total"] == MANY and seen["ready"]


async def event(raw: Any) -> dict[str, Any]:
    """The next overview."""
    text = await soon(raw.reader.readuntil(b"}\n\n"))
    found: dict[str, Any] = json.loads(text[text.index(b"data: ") + 6 :])
    return found


async def test_polls_of_a_route_without_an_answer_for_no_news_are_counted_in_all_workers(tmp_path: Path) -> None:
    table = {"more": hold(empty='{ answer = "origin" }', replay='"destructive"'), "routes": POLL["routes"]}
    async with HoldingUpstream() as up:
        with machine(machine_config(up.port, **table), tmp_path) as gw:
            async with polling(gw, *[get()] * MANY):
                await until(lambda: up.held == MANY)
                assert await end(gw, all=True) == {"ended": 0, "not_endable": MANY}
                assert (await listed(gw))["held"] == MANY

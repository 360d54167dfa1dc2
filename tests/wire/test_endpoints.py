"""Several endpoints behind one upstream: who gets which call, by weight and by what is held; what happens to calls when
one of them is down or dies; that nothing an upstream may have seen is sent twice; how each failure is recorded.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.raw import RawClient, client, connect, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

POLL = {"more": hold(), "routes": route(policies=["poll"])}
QUEUE = {"more": hold(replay='"destructive"', empty='{ answer = "origin" }'), "routes": route(policies=["poll"])}


def weighted(balance: str, *ends: tuple[ScriptedUpstream, int], **tables: Any) -> str:
    """A configuration whose endpoints have weights."""
    endpoints = ", ".join(f'{{ url = "{up.url}", weight = {weight} }}' for up, weight in ends)
    table = config("http://x", upstream=f'balance = "{balance}"', **tables)
    return table.replace('endpoints = ["http://x"]', f"endpoints = [{endpoints}]")


async def park(gw: InProcess, count: int) -> list[RawClient]:
    clients = [await connect(gw.port) for _ in range(count)]
    for raw in clients:
        await raw.send(get())
    return clients


async def leave(clients: list[RawClient]) -> None:
    for raw in clients:
        await raw.close()


# -- sharing -----------------------------------------------------------------------------------------------------------


async def test_round_robin_gives_each_endpoint_its_share(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as one,
        ScriptedUpstream() as two,
        gateway(weighted("round-robin", (one, 1), (two, 3)), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for _ in range(12):
            assert (await raw.ask(get())).status == 200
    assert (len(one.requests), len(two.requests)) == (3, 9)


async def test_least_held_shares_what_is_held_by_weight(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(weighted("least-held", (one, 1), (two, 2), **POLL), tmp_path) as gw,
    ):
        clients = await park(gw, 9)
        await until(lambda: one.held + two.held == 9)
        assert (one.held, two.held) == (3, 6)
        held = Counter(call["endpoint"] for call in await gw.held())
        assert held == {f"127.0.0.1:{one.port}": 3, f"127.0.0.1:{two.port}": 6}
        await leave(clients)


async def test_least_held_fills_up_the_endpoint_whose_polls_ended(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as one,
        HoldingUpstream() as two,
        gateway(weighted("least-held", (one, 1), (two, 1), **POLL), tmp_path) as gw,
    ):
        clients = await park(gw, 6)
        await until(lambda: (one.held, two.held) == (3, 3))
        one.publish()
        await gw.records(3)
        clients += await park(gw, 3)
        await until(lambda: (one.held, two.held) == (3, 3))
        await leave(clients)


# -- one of them is down -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["round-robin", "least-held"])
@pytest.mark.parametrize("kind", ["ordinary", "post", "chunked", "cursor poll", "queue poll"])
async def test_a_call_whose_endpoint_is_down_goes_to_the_other_once(tmp_path: Path, kind: str, balance: str) -> None:
    requests = {"post": post(b"body"), "chunked": post_chunked(b"bo", b"dy")}
    tables = {"cursor poll": POLL, "queue poll": QUEUE}.get(kind, {})
    async with ScriptedUpstream() as dead, ScriptedUpstream() as lives:
        await dead.close()
        with socket.socket() as keeper:  # so that nobody else gets the port meanwhile; it does not listen
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind(("127.0.0.1", dead.port))
            async with (
                gateway(weighted(balance, (dead, 1), (lives, 1), **tables), tmp_path) as gw,
                client(gw.port) as raw,
            ):
                for _ in range(6):
                    assert (await raw.ask(requests.get(kind, get()))).status == 200
                records = await gw.records(6)
    assert len(lives.requests) == 6
    assert all(bytes(request.body) in (b"", b"body") for request in lives.requests)
    assert {record["endpoint"] for record in records} == {f"127.0.0.1:{lives.port}"}
    assert {record["attempts"] for record in records} == {1, 2}, "some tried the dead one first, none a third time"
    assert len({request.one("X-Request-Id") for request in lives.requests}) == 6


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_cursor_poll_whose_endpoint_dies_goes_on_at_the_other(tmp_path: Path, end: End) -> None:
    go = asyncio.Event()
    dies: tuple[Step, ...] = (go, end)
    async with (
        ScriptedUpstream(then=dies) as one,
        ScriptedUpstream(then=dies) as two,
        gateway(weighted("least-held", (one, 1), (two, 1), **POLL), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/?since=1"))
        await until(lambda: one.held + two.held == 1)
        first, second = (one, two) if one.held else (two, one)
        second.then = (answer(b"[1]"),)
        go.set()
        assert (await raw.read_answer()).status == 200
        record = await gw.record()
    assert (record["outcome"], record["attempts"]) == ("news", 2)
    assert record["endpoint"] == f"127.0.0.1:{second.port}"
    assert [request.target for request in (*first.requests, *second.requests)] == ["/?since=1"] * 2


@pytest.mark.parametrize("kind", ["ordinary", "post", "queue poll"])
async def test_anything_else_whose_endpoint_dies_is_not_tried_elsewhere(tmp_path: Path, kind: str) -> None:
    tables = QUEUE if kind == "queue poll" else {}
    async with (
        ScriptedUpstream(then=(End.RESET,)) as one,
        ScriptedUpstream(then=(End.RESET,)) as two,
        gateway(weighted("least-held", (one, 1), (two, 1), **tables), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(post(b"x") if kind == "post" else get())).status == 502
        assert (await gw.record())["attempts"] == 1
    assert len(one.requests) + len(two.requests) == 1


async def test_when_all_are_down_the_last_failure_is_told(tmp_path: Path) -> None:
    async with ScriptedUpstream() as one, ScriptedUpstream() as two:
        await one.close()
        await two.close()
        async with gateway(weighted("round-robin", (one, 1), (two, 1)), tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 502
            record = await gw.record()
            assert (record["outcome"], record["attempts"]) == ("upstream_refused", 2)
            assert record["note"] == "ConnectionRefusedError"


# -- clocks and caps ---------------------------------------------------------------------------------------------------


async def test_an_upstream_that_holds_all_it_may_refuses_every_kind_of_call_at_once(tmp_path: Path) -> None:
    """Nothing is queued: the answer comes while the held ones are still held, and no body is asked for."""
    routes = route("poll", "/poll", ["poll"]) + route("rest")
    async with HoldingUpstream() as up:
        text = config(up.port, upstream="max_held = 1", more=hold(), routes=routes)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            async with client(gw.port) as first:
                await first.send(get("/poll"))
                await until(lambda: up.held == 1)
                expecting = get("/", "Expect: 100-continue", "Content-Length: 4", method="POST")
                for request in (get("/poll"), get("/"), expecting):
                    await raw.send(request)
                    found = await raw.read_answer()
                    assert (found.status, found.interim) == (503, [])
                    assert int(found.one("Retry-After") or 0) >= 1
                    if found.one("Connection") == "close":
                        await raw.close()
                        raw = await connect(gw.port)
                assert up.held == len(up.peers) == 1
            await until(lambda: up.held == 0)
            records = await gw.records(4)
            assert Counter(record["outcome"] for record in records) == {"overloaded": 3, "client_gone": 1}
            assert {record["attempts"] for record in records if record["outcome"] == "overloaded"} == {0}
            await raw.send(get("/"))
            await until(lambda: up.held == 1)  # the place came back
            await raw.close()


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
LATE = [
    ("response_timeout", (asyncio.Event,), 504, "upstream_timeout", None),
    ("body_idle_timeout", (BEGUN, asyncio.Event), 200, "truncated", "body_idle"),
    ("closed", (End.CLOSE,), 502, "upstream_reset", "closed"),
    ("reset", (End.RESET,), 502, "upstream_reset", "ConnectionResetError"),
    ("cut", (BEGUN, End.CLOSE), 200, "truncated", "closed"),
]


@pytest.mark.parametrize("level", ["upstream", "route"])
@pytest.mark.parametrize(("clock", "script", "status", "outcome", "note"), LATE, ids=[case[0] for case in LATE])
async def test_how_an_upstream_failed_stands_in_the_record(
    tmp_path: Path, level: str, clock: str, script: tuple[Any, ...], status: int, outcome: str, note: str | None
) -> None:
    """The same clock counts whether the upstream's own or narrowed on the route."""
    steps: list[Step] = [step() if callable(step) else step for step in script]
    line = f'{clock} = "300ms"' if clock.endswith("timeout") else ""
    tables: dict[str, Any] = {"upstream": line} if level == "upstream" else {"routes": route(extra=line)}
    async with ScriptedUpstream(steps) as up, stage(up, tmp_path, **tables) as (gw, raw):
        await raw.send(get())
        record = await gw.record()
        assert (record["status"], record["outcome"], record.get("note")) == (status, outcome, note)
        assert (record["blame"], record["level"], record["attempts"]) == ("upstream", "warning", 1)
        await until(lambda: up.live == 0)


async def test_a_connect_that_hangs_is_recorded_as_an_endpoint_not_reached(tmp_path: Path) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        text = config(f"https://127.0.0.1:{port}", routes=route(extra='connect_timeout = "200ms"'))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get())).status == 504
            record = await gw.record()
    assert (record["outcome"], record["note"], record["blame"]) == ("upstream_refused", "timeout", "upstream")

"""What is sent again, counted at upstreams that record: ordinary calls by the `retry` kind, calls that met an idle
connection as it was closed, and who is spared when nobody can be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.upstream.circuit import FAILURES
from tests.kit.gateways import InProcess, Record, config, gateway, hold, route
from tests.kit.raw import RawClient, client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

BUSY = answer(b"busy", "503 Service Unavailable")
Sent = Sequence[tuple[str, bytes]]


def retrying(**keys: str) -> dict[str, str]:
    """A route to "up" with a `retry` table; `keys` are TOML."""
    lines = {"methods": '["GET", "PUT"]', "status": "[503]"} | keys
    text = "".join(f"{key} = {value}\n" for key, value in lines.items())
    return {"routes": route(policies=["again"]), "more": f"[policy.again.retry]\n{text}"}


def put(body: bytes) -> bytes:
    return post(body).replace(b"POST", b"PUT", 1)


def seen(up: ScriptedUpstream) -> Sent:
    return [(request.method, bytes(request.body)) for request in up.requests]


async def upstreams(gw: InProcess) -> dict[str, Any]:
    """`GET /api/upstreams` of "up"."""
    _, body = await gw.admin("/api/upstreams")
    found: dict[str, Any] = json.loads(body)["upstreams"][0]
    return found


@contextlib.asynccontextmanager
async def two(folder: Path, one: ScriptedUpstream, other: ScriptedUpstream, **keys: str) -> AsyncIterator[
    tuple[InProcess, RawClient]
]:  # fmt: skip
    """A gateway that asks the two in turn."""
    text = config(one.port, other.port, upstream='balance = "round-robin"', **retrying(**keys))
    async with gateway(text, folder) as gw, client(gw.port) as raw:
        yield gw, raw


@pytest.mark.parametrize("request_bytes", [get(), put(b"state"), put(b"s" * 15_000), put(b"")])
@pytest.mark.parametrize("first", [(End.CLOSE,), (End.RESET,), (BUSY,)])
async def test_a_call_goes_to_the_other_endpoint(tmp_path: Path, first: Sequence[Step], request_bytes: bytes) -> None:
    async with ScriptedUpstream(then=first) as one, ScriptedUpstream(then=first) as other:
        one.scripts, other.scripts = [], []
        async with two(tmp_path, one, other) as (gw, raw):
            one.then = first
            other.then = (answer(b"ok"),)
            for _ in range(2):  # whoever is asked first
                assert bytes((await raw.ask(request_bytes)).body) == b"ok"
            assert seen(one) == seen(other)[:1] and len(seen(other)) == 2
            assert sorted(record["attempts"] for record in await gw.records(2)) == [1, 2]
            assert (await upstreams(gw))["retries"] == {"sent": 1, "denied": 0}


@pytest.mark.parametrize("request_bytes", [post(b"body"), put(b"x" * 20_000), get(method="DELETE"), get(method="HEAD")])
async def test_no_other_call_is_sent_twice(tmp_path: Path, request_bytes: bytes) -> None:
    async with ScriptedUpstream(then=(End.CLOSE,)) as up, stage(up, tmp_path, **retrying()) as (_, raw):
        assert (await raw.ask(request_bytes)).status == 502
        assert len(up.requests) == 1


async def test_an_answer_that_has_begun_is_never_asked_for_again(tmp_path: Path) -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
    async with ScriptedUpstream(then=(begun, End.RESET)) as up, stage(up, tmp_path, **retrying()) as (gw, raw):
        await raw.send(get())
        assert (await gw.record())["outcome"] == "truncated"
        assert len(up.requests) == 1


async def test_a_long_answer_that_is_thrown_away_is_not_read_to_its_end(tmp_path: Path) -> None:
    never, long = asyncio.Event(), b"HTTP/1.1 503 Busy\r\nContent-Length: 900000\r\n\r\n" + b"x" * 1000
    async with ScriptedUpstream((long, never), (answer(b"ok"),)) as up, stage(up, tmp_path, **retrying()) as (_, raw):
        assert bytes((await raw.ask(get())).body) == b"ok"
        await until(lambda: up.live == 1, "its connection was closed")


async def test_a_status_that_says_when_to_come_back_is_passed_on(tmp_path: Path) -> None:
    later = answer(b"", "503 Busy", "Retry-After: 7")
    async with ScriptedUpstream(then=(later,)) as up, stage(up, tmp_path, **retrying()) as (_, raw):
        assert (await raw.ask(get())).one("Retry-After") == "7"
        assert len(up.requests) == 1


async def test_a_client_that_leaves_in_a_pause_is_sent_nowhere(tmp_path: Path) -> None:
    async with ScriptedUpstream((End.CLOSE,)) as up, stage(up, tmp_path, **retrying(backoff='"5s"')) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.requests)
        await until(lambda: up.live == 0)
        raw.reset()
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("client_gone", 1)


async def test_a_call_in_a_pause_is_listed_and_can_be_drained(tmp_path: Path) -> None:
    tables = {"more": hold(), "routes": route(policies=["poll"], extra='[route.retry]\nbackoff = "20s"')}
    tables["server"] = 'drain = "1s"'
    async with ScriptedUpstream((End.CLOSE,)) as up, stage(up, tmp_path, **tables) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.requests)
        await until(lambda: up.live == 0)
        (listed,) = await gw.held()
        assert (listed["state"], listed["attempts"], listed["endable"]) == ("parked", 1, True)
        gw.app.begin_drain()
        assert (await raw.read_answer()).status == 200
        assert (await gw.record())["outcome"] == "drained"


async def test_the_budget_bounds_what_is_sent_again(tmp_path: Path) -> None:
    """The upstream counts: 40 calls that all fail are not 80."""
    async with ScriptedUpstream(then=(BUSY,)) as up, stage(up, tmp_path, **retrying(backoff='"0s"')) as (gw, raw):
        for _ in range(40):
            assert (await raw.ask(get())).status == 503
        records = await gw.records(40)
        sent = len(up.requests) - 40
        assert sent == sum(record["attempts"] == 2 for record in records) and 10 <= sent <= 18
        assert [record.get("note") for record in records].count("retry_budget") == 40 - sent
        assert (await upstreams(gw))["retries"] == {"sent": sent, "denied": 40 - sent}


# -- the race for an idle connection -------------------------------------------------------------------------------


async def race(folder: Path, request_bytes: bytes, end: End) -> tuple[list[int], int, list[Record]]:
    """The answers to a first call and to one whose connection is closed as it comes; requests; records."""
    async with ScriptedUpstream((answer(b"1"),), (end,)) as up, stage(up, folder) as (gw, raw):
        statuses = [(await raw.ask(each)).status for each in (get(), request_bytes)]
        assert len(up.peers) == 1 + (len(up.requests) == 3), "it came on the idle connection"
        return statuses, len(up.requests), await gw.records(2)


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_question_that_meets_a_closing_connection_is_asked_on_another(tmp_path: Path, end: End) -> None:
    statuses, requests, records = await race(tmp_path, get(), end)
    assert (statuses, requests, records[1]["attempts"]) == ([200, 200], 3, 2)


@pytest.mark.parametrize("request_bytes", [post(b"body"), get(method="DELETE")])
@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_an_order_that_meets_a_closing_connection_is_not(tmp_path: Path, end: End, request_bytes: bytes) -> None:
    statuses, requests, records = await race(tmp_path, request_bytes, end)
    assert (statuses, requests, records[1]["outcome"]) == ([200, 502], 2, "upstream_reset")


# -- the circuit ---------------------------------------------------------------------------------------------------


async def outage(gw: InProcess, raw: RawClient, calls: int = FAILURES) -> list[int]:
    return [(await raw.ask(get())).status for _ in range(calls)]


async def test_when_nobody_can_be_reached_calls_are_told_at_once_and_the_log_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and does not listen yet
        async with gateway(config(reserved.getsockname()[1]), tmp_path) as gw, client(gw.port) as raw:
            assert await outage(gw, raw) == [502] * FAILURES
            found = await raw.ask(get())
            assert found.status == 503 and 1 <= int(found.one("Retry-After") or 0) <= 5
            assert b'"type":"' in found.body and b"circuit_open" in found.body
            records = await gw.records(FAILURES + 1)
            assert (records[-1]["outcome"], records[-1]["attempts"]) == ("upstream_refused", 0)
            circuit = (await upstreams(gw))["circuit"]
            assert (circuit["opened"], circuit["refused"]) == (1, 1) and circuit["since"] >= 0
            assert b'longpoll_circuit_open{upstream="up"} 1' in (await gw.admin("/metrics"))[1]
            await back(gw, raw, reserved)
        said = [record.getMessage() for record in caplog.records if "upstream up" in record.getMessage()]
        assert [line.split(":")[1][:12] for line in said] == [" no endpoint", " it can be r"]


async def back(gw: InProcess, raw: RawClient, reserved: socket.socket) -> None:
    """The service is there again; the next who tries finds it."""
    server = await asyncio.start_server(_hello, sock=reserved)
    try:
        while (await raw.ask(get())).status != 200:
            await asyncio.sleep(0.02)
        assert (await upstreams(gw))["circuit"]["state"] == "closed"
    finally:
        server.close()


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(answer(b"hello", "200 OK", "Connection: close"))
    writer.close()


async def test_one_endpoint_of_two_that_is_gone_opens_nothing(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=(answer(b"ok", "200 OK", "Connection: close"),)) as lives:
        with socket.socket() as dead:
            dead.bind(("127.0.0.1", 0))  # and does not listen
            async with gateway(config(dead.getsockname()[1], lives.port), tmp_path) as gw, client(gw.port) as raw:
                assert await outage(gw, raw, 20) == [200] * 20
                assert (await upstreams(gw))["circuit"]["opened"] == 0


async def test_an_answer_however_bad_opens_nothing(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=(BUSY, End.CLOSE)) as up, stage(up, tmp_path) as (gw, raw):
        assert await outage(gw, raw, 20) == [503] * 20
        assert (await upstreams(gw))["circuit"] == {"state": "closed", "since": None, "opened": 0, "refused": 0}

"""When a request may be sent twice: before a byte of it left, or a cursor poll once. The upstream counts. Also the
pool: what is kept, for how long, and the race in which an upstream closes what the gateway is about to use.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.holds.replay import REPLAY
from tests.kit.gateways import TEMPLATE, config, gateway, hold, route
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer
from tests.kit.waiting import until

ENDS = [End.CLOSE, End.RESET]


def polls(replay: str) -> dict[str, str]:
    empty = TEMPLATE if REPLAY[replay].early else '{ answer = "origin" }'
    return {"more": hold(replay=f'"{replay}"', empty=empty), "routes": route(policies=["poll"])}


@pytest.mark.parametrize("end", ENDS)
async def test_a_cursor_poll_is_sent_once_more(tmp_path: Path, end: End) -> None:
    dies: tuple[Step, ...] = (end,)
    async with ScriptedUpstream(dies, (answer(b"[1]"),)) as up, stage(up, tmp_path, **polls("cursor")) as (gw, raw):
        found = await raw.ask(get("/?since=1"))
        assert (found.status, bytes(found.body)) == (200, b"[1]")
        assert [request.target for request in up.requests] == ["/?since=1"] * 2
        first, second = (float(request.one("Gateway-Hold") or 0) for request in up.requests)
        assert second <= first
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("news", 2)


async def test_a_poll_that_is_sent_again_is_still_the_clients_behind_the_proxy(tmp_path: Path) -> None:
    tables = {**polls("cursor"), "server": 'trusted_proxies = ["127.0.0.0/8"]'}
    async with ScriptedUpstream((End.CLOSE,), (answer(b"[1]"),)) as up, stage(up, tmp_path, **tables) as (_, raw):
        fields = ("X-Forwarded-For: 1.1.1.1, 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.test")
        assert (await raw.ask(get("/", *fields))).status == 200
        told = [(request.one("X-Forwarded-For"), request.one("X-Forwarded-Proto"), request.one("X-Forwarded-Host"),
                 request.one("Forwarded")) for request in up.requests]  # fmt: skip
        one = ("203.0.113.9", "https", "localhost", 'for=203.0.113.9;proto=https;host="localhost"')
        assert told == [one, one]


@pytest.mark.parametrize("end", ENDS)
async def test_a_cursor_poll_is_sent_at_most_twice(tmp_path: Path, end: End) -> None:
    async with ScriptedUpstream(then=(end,)) as up, stage(up, tmp_path, **polls("cursor")) as (gw, raw):
        assert (await raw.ask(get("/"))).status == 502
        assert len(up.requests) == 2
        assert (await gw.record())["outcome"] == "upstream_reset"


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("replay", ["destructive", "lease", "session", "never", "cursor-exclusive"])
async def test_no_other_poll_is_sent_twice(tmp_path: Path, replay: str, end: End) -> None:
    async with ScriptedUpstream(then=(end,)) as up, stage(up, tmp_path, **polls(replay)) as (gw, raw):
        assert (await raw.ask(get("/"))).status == 502
        assert len(up.requests) == 1
        assert (await gw.record())["attempts"] == 1


@pytest.mark.parametrize("request_bytes", [get(), post(b"body"), get(method="PUT"), get(method="HEAD")])
async def test_an_ordinary_call_is_not_sent_twice(tmp_path: Path, request_bytes: bytes) -> None:
    async with ScriptedUpstream(then=(End.CLOSE,)) as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(request_bytes)).status == 502
        assert len(up.requests) == 1


async def test_a_poll_is_not_sent_again_after_its_answer_began(tmp_path: Path) -> None:
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
    async with ScriptedUpstream(then=(begun, End.CLOSE)) as up, stage(up, tmp_path, **polls("cursor")) as (gw, raw):
        await raw.send(get())
        await gw.record()
        assert len(up.requests) == 1


async def test_a_poll_is_not_sent_again_after_its_client_left(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with ScriptedUpstream((go, End.RESET)) as up, stage(up, tmp_path, **polls("cursor")) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.held == 1)
        raw.reset()
        assert (await gw.record())["outcome"] == "client_gone"
        go.set()
        assert len(up.requests) == 1


@pytest.mark.parametrize("end", ENDS)
async def test_a_pooled_connection_that_died_is_not_used(tmp_path: Path, end: End) -> None:
    async with ScriptedUpstream((answer(b"1"), end), faults=True) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        await gw.record()
        await until(lambda: up.live == 0)
        async with client(gw.port) as other:
            assert (await other.ask(get())).status == 200
        assert len(up.peers) == 2


@pytest.mark.parametrize("said", ["Connection: close", "Keep-Alive: timeout=0"])
async def test_a_connection_that_may_not_be_kept_is_not_kept(tmp_path: Path, said: str) -> None:
    async with ScriptedUpstream(then=(answer(b"ok", "200 OK", said),)) as up, stage(up, tmp_path) as (_, raw):
        for _ in range(3):
            assert (await raw.ask(get())).status == 200
        assert len(up.peers) == 3
        await until(lambda: up.live == 0)


async def test_an_http_1_0_upstream_is_not_kept(tmp_path: Path) -> None:
    script = (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", End.CLOSE)
    async with ScriptedUpstream(then=script) as up, stage(up, tmp_path) as (_, raw):
        for _ in range(3):
            assert bytes((await raw.ask(get())).body) == b"ok"
        assert len(up.peers) == 3


async def test_an_idle_connection_is_given_up(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, upstream='keepalive = "200ms"') as (_, raw):
        assert (await raw.ask(get())).status == 200
        await until(lambda: up.live == 0)
        assert (await raw.ask(get())).status == 200


async def test_an_answer_before_the_end_of_the_body_is_relayed(tmp_path: Path) -> None:
    async with ScriptedUpstream((answer(b"enough", "413 Too Large"),), at="head") as up:
        async with stage(up, tmp_path) as (_, raw):
            await raw.send(get("/", "Content-Length: 1000000", method="POST") + b"begun")
            found = await raw.read_answer()
            assert (found.status, bytes(found.body)) == (413, b"enough")
            assert await raw.closed()
        await until(lambda: up.live == 0)


async def test_calls_go_round_the_endpoints(tmp_path: Path) -> None:
    async with ScriptedUpstream() as one, ScriptedUpstream() as two:
        text = config(one.port, two.port, upstream='balance = "round-robin"')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            for _ in range(6):
                assert (await raw.ask(get())).status == 200
            assert (len(one.requests), len(two.requests)) == (3, 3)
            records = await gw.records(6)
            assert {record["endpoint"] for record in records} == {f"127.0.0.1:{up.port}" for up in (one, two)}


async def test_a_call_moves_on_when_an_endpoint_refuses_the_connection(tmp_path: Path) -> None:
    async with ScriptedUpstream() as dead, ScriptedUpstream() as lives:
        await dead.close()
        async with gateway(config(dead.port, lives.port), tmp_path) as gw, client(gw.port) as raw:
            for _ in range(4):
                assert (await raw.ask(post(b"body"))).status == 200
        assert len(lives.requests) == 4

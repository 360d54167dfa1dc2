"""How streams of server-sent events end that would go on: with their token, their time, the gateway, their route. What
is cut shows it, and what was sent before arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.clock import Clock
from tests.kit.certificates import Certificate
from tests.kit.gateways import config, gateway, route, token
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.stage import stage
from tests.kit.streams import ONE, OPEN, TWO, cut, held_back, pause, sse
from tests.kit.strict import Message
from tests.kit.upstreams import ScriptedUpstream, Step, chunked
from tests.kit.waiting import soon, until

EXP, LEEWAY = 4_000_000_000, 30.0
WHO = f"Authorization: Bearer {token(exp=EXP, iat=1)}"


@pytest.mark.parametrize("policies", [["signed-in"], ["signed-in", "events"]])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_stream_ends_with_its_token_visibly_and_the_service_learns_it(
    tmp_path: Path, policies: list[str], version: str
) -> None:
    tables = sse() | {"routes": route(policies=policies)}
    clock = Clock(wall=lambda: EXP + LEEWAY - 0.5)
    async with (
        ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False))) as up,
        gateway(config(up.port, **tables), tmp_path, clock) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/", WHO, version=version))
        if version == "1.1":
            assert await cut(raw) == ONE
            assert raw.reset_by is None, "what was sent before the end arrives"
        else:
            await raw.read_all()
            assert raw.reset_by is not None
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["blame"], record["status"]) == ("expired", "downstream", 200)


async def test_a_stream_outlives_its_token_where_the_route_says_so(tmp_path: Path) -> None:
    more = asyncio.Event()
    tables = sse() | {"routes": route(policies=["signed-in"], extra='[route.jwt]\nexpiry = "ignore"')}
    clock = Clock(wall=lambda: EXP + LEEWAY - 0.2)
    async with (
        ScriptedUpstream([OPEN, more, chunked(ONE)]) as up,
        gateway(config(up.port, **tables), tmp_path, clock) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/", WHO))
        await raw.seen(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        more.set()
        assert bytes((await raw.read_answer()).body) == ONE


async def test_a_stream_ends_with_its_token_although_its_client_takes_nothing(tmp_path: Path) -> None:
    clock = Clock(wall=lambda: EXP + LEEWAY - 0.5)
    tables = sse() | {"routes": route(policies=["signed-in", "events"])}
    flood = [OPEN, *[chunked(b"data: " + bytes(1 << 20) + b"\n\n", end=False)] * 16]
    async with (
        ScriptedUpstream(held_back(*flood)) as up,
        gateway(config(up.port, **tables), tmp_path, clock) as gw,
        client(gw.port, receive=4096) as raw,
    ):
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await raw.send(get("/", WHO))
        assert (await gw.record())["outcome"] == "expired"
        await until(lambda: up.live == 0)


async def test_a_stream_ends_after_its_longest_time(tmp_path: Path) -> None:
    def often(_: Message) -> Iterator[Step]:
        yield OPEN
        for _ in range(200):
            yield chunked(ONE, end=False)
            yield pause()

    async with ScriptedUpstream(often) as up, stage(up, tmp_path, **sse(max_time="400ms")) as (gw, raw):
        await raw.send(get())
        assert (await cut(raw)).startswith(ONE)
        record = await gw.record()
        assert (record["outcome"], record["note"]) == ("expired", "max_time")
        assert 0.36 <= record["took"] < 5


SHORT = 'drain = "800ms"\nstop_grace = "10s"'


async def test_streams_whose_clients_come_back_end_spread_over_the_drain(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream(then=held_back(OPEN, chunked(ONE, end=False))) as up,
        gateway(config(up.port, server=SHORT, **sse()), tmp_path) as gw,
    ):
        raws = [await connect_to(gw.port) for _ in range(12)]
        for raw in raws:
            await raw.seen(ONE)
        await soon(gw.app.drain())
        for raw in raws:
            assert await cut(raw) == ONE
            assert raw.reset_by is None
            await raw.close()
        records = await gw.records(12)
        assert [record["outcome"] for record in records] == ["drained"] * 12
        took = sorted(record["took"] for record in records)
        assert took[-1] - took[0] > 0.1, "not all at once"


async def test_a_stream_that_has_an_end_comes_to_it_in_a_drain(tmp_path: Path) -> None:
    last = asyncio.Event()
    async with (
        ScriptedUpstream(then=held_back(OPEN, chunked(ONE, end=False), last, b"0\r\n\r\n")) as up,
        gateway(config(up.port, server=SHORT.replace("800ms", "8s"), **sse(drain="finish")), tmp_path) as gw,
    ):
        raw = await connect_to(gw.port)
        await raw.seen(ONE)
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: gw.app._serve.draining is not None)
        last.set()
        assert (await raw.read_answer()).body == ONE
        await soon(draining)
        assert (await gw.record())["outcome"] == "streamed"
        await raw.close()


async def connect_to(port: int) -> RawClient:
    raw = await connect(port)
    await raw.send(get())
    return raw


@pytest.mark.usefixtures("halfway")
async def test_a_stream_that_begins_while_the_gateway_drains_ends_in_its_window(tmp_path: Path) -> None:
    begin = asyncio.Event()
    script = held_back(begin, OPEN, chunked(ONE, end=False))
    async with (
        ScriptedUpstream(script) as up,
        gateway(config(up.port, server=SHORT, **sse()), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get())
        await until(lambda: up.held == 1)
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: gw.app._serve.draining is not None)
        begin.set()
        assert await cut(raw) == ONE
        assert raw.reset_by is None, "it ended before the window did"
        await soon(draining)
        assert (await gw.record())["outcome"] == "drained"


async def test_other_streams_run_to_the_end_of_the_window_and_one_that_ends_in_it_is_whole(tmp_path: Path) -> None:
    more = asyncio.Event()
    script = [OPEN, chunked(ONE, end=False), more, chunked(TWO)]
    long = SHORT.replace("800ms", "9s")
    async with ScriptedUpstream(script) as up, stage(up, tmp_path, server=long) as (gw, raw):
        await raw.send(get())
        await raw.seen(ONE)
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: gw.app._serve.draining is not None)
        more.set()
        assert bytes((await raw.read_answer()).body) == ONE + TWO
        await soon(draining)
        assert (await gw.record())["outcome"] == "streamed"


async def test_a_stream_of_a_route_that_is_gone_ends_as_in_a_drain(tmp_path: Path) -> None:
    async with ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False))) as up:
        text = config(up.port, server=SHORT, **sse())
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get())
            await raw.seen(ONE)
            changed = text.replace('name = "all"', 'name = "other"').replace(
                "file:calls.jsonl", f"file:{tmp_path}/calls.jsonl"
            )
            gw.app.path.write_text(changed, "utf-8")
            assert await gw.app.reload() == []
            assert await cut(raw) == ONE
            assert (await gw.record())["outcome"] == "drained"


async def test_over_tls_on_both_sides_a_stream_is_kept_alive_and_ends_with_its_token_as_well(
    tmp_path: Path, certificate: Certificate
) -> None:
    tables = sse(heartbeat="100ms") | {"routes": route(policies=["signed-in", "events"])}
    server = f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}'
    trusted = f'tls = {{ ca = "file:{certificate.cert}" }}'
    clock = Clock(wall=lambda: EXP + LEEWAY - 1.0)
    async with ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False)), tls=certificate.server()) as up:
        text = config(up.url.replace("127.0.0.1", "localhost"), server=server, upstream=trusted, **tables)
        async with gateway(text, tmp_path, clock) as gw, client(gw.port, certificate.client()) as raw:
            await raw.send(get("/", WHO))
            await raw.seen(ONE)
            await raw.seen(b"3\r\n:\n\n\r\n")
            assert (await cut(raw)).replace(b":\n\n", b"") == ONE
            assert (await gw.record())["outcome"] == "expired"
            await until(lambda: up.live == 0)

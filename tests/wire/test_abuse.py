"""What a hostile or clumsy peer does on purpose: floods, bodies nobody wants, answers before the question has ended;
and all of it over TLS too, whose transports count their unsent bytes in a way of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from pathlib import Path

import pytest

from gateway.upstream.http1 import UpstreamConnection
from tests.kit.certificates import Certificate
from tests.kit.gateways import InProcess, config, gateway
from tests.kit.raw import RawClient, client, connect, get, post
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer, chunked
from tests.kit.waiting import soon, until

MIB = 1024 * 1024
ONLY_X = '[[route]]\nname = "x"\nmatch = { path = "/x" }\nupstream = "up"\n'
BODY = bytes(range(256)) * 16 * 1024


def tls(certificate: Certificate) -> str:
    return f'tls = {{ cert = "file:{certificate.cert}", key = "file:{certificate.key}" }}\n'


async def push(raw: RawClient, size: int) -> None:
    """Sends that many bytes of a body, and stops quietly where the other side takes no more."""
    with contextlib.suppress(ConnectionError):
        for _ in range(size // 65536):
            await raw.send(bytes(65536))


async def paused(gw: InProcess) -> None:
    """Waits until the gateway reads no more from its only client."""
    (connection,) = gw.app._edge.connections
    await until(lambda: connection._reading_paused, "an upload held back")


# -- floods ----------------------------------------------------------------------------------------------------------


async def test_a_pipelined_flood_does_not_keep_others_waiting(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=ONLY_X) as (gw, flood), client(gw.port) as other:
        flood.writer.write(get("/flood") * 300)
        other.writer.write(get("/other"))
        assert [(await flood.read_answer()).status for _ in range(300)] == [404] * 300
        assert (await other.read_answer()).status == 404
        paths = [record["path"] for record in await gw.records(301)]
        assert paths.index("/other") < 100


async def test_a_flood_larger_than_a_head_ends_the_connection(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=ONLY_X) as (gw, raw):
        sending = asyncio.create_task(raw.send(get("/flood") * 40_000))
        await until(lambda: not gw.app._edge.connections, "the end of the connection")
        await asyncio.gather(sending, return_exceptions=True)
        assert len(await gw.records(1)) < 40_000


async def test_an_empty_line_after_a_body_is_no_request(tmp_path: Path) -> None:
    clocks = 'header_timeout = "100ms"\nkeepalive_timeout = "300ms"'
    async with ScriptedUpstream() as up, stage(up, tmp_path, server=clocks) as (gw, raw):
        assert (await raw.ask(post(b"body") + b"\r\n")).status == 200
        assert await raw.read_all() == []  # no 408 that would be read as the answer to the next request
        assert (await gw.record())["outcome"] == "answered"


async def test_what_folds_to_a_content_length_is_not_passed_on(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get("/", "Content_Length: 5", "content_length: 6", "X_Other: 1"))).status == 200
        assert [name for name, _ in up.requests[0].headers if "_" in name] == ["X_Other"]


# -- bodies nobody wants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True])
async def test_a_refused_upload_can_be_finished_and_its_answer_read(
    tmp_path: Path, certificate: Certificate, secure: bool
) -> None:
    text = {"server": tls(certificate) if secure else "", "routes": ONLY_X}
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, **text), tmp_path) as gw,
        client(gw.port, certificate.client() if secure else None) as raw,
    ):
        await raw.send(get("/nowhere", f"Content-Length: {4 * MIB}", method="POST"))
        for _ in range(64):
            await raw.send(bytes(65536))  # a reset would be an error here
        assert (await raw.read_answer()).status == 404


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_an_upstream_that_refuses_a_body_and_closes_is_heard(tmp_path: Path, end: End) -> None:
    script: tuple[Step, ...] = (answer(b"big", "413 Too Large", "Connection: close"), end)
    async with ScriptedUpstream(then=script, at="head") as up, gateway(config(up.port), tmp_path) as gw:
        for _ in range(10):
            async with client(gw.port) as raw:
                await raw.send(get("/", f"Content-Length: {4 * MIB}", method="POST"))
                sending = asyncio.create_task(push(raw, 4 * MIB))
                assert (await raw.read_answer()).status == 413
                await sending
        assert {record["outcome"] for record in await gw.records(10)} == {"answered"}


async def test_a_body_an_upstream_never_reads_does_not_keep_its_connection(tmp_path: Path) -> None:
    go = asyncio.Event()

    def stop_reading(_: Message) -> tuple[Step, ...]:
        up.gate.clear()
        return (go, answer(b"early"))

    async with (
        ScriptedUpstream(then=stop_reading, at="head") as up,
        stage(up, tmp_path, server='max_body = "64MiB"') as (gw, raw),
    ):
        await raw.send(get("/", f"Content-Length: {64 * MIB}", method="POST"))
        sending = asyncio.create_task(push(raw, 64 * MIB))
        await paused(gw)
        go.set()
        assert bytes((await raw.read_answer()).body) == b"early"
        await until(lambda: not to_upstream(gw), "the end of the connection")
        sending.cancel()


def to_upstream(gw: InProcess) -> list[UpstreamConnection]:
    """Connections to the upstream that are open."""
    endpoints = gw.app._serve.snapshot.upstreams["up"].endpoints
    found = (one for one in gc.get_objects() if isinstance(one, UpstreamConnection))
    return [one for one in found if one.endpoint in endpoints and one.transport is not None]


async def test_a_client_that_left_while_its_body_was_held_back(tmp_path: Path) -> None:
    go = asyncio.Event()

    def stop_reading(_: Message) -> tuple[Step, ...]:
        up.gate.clear()
        return (go, End.RESET)

    async with (
        ScriptedUpstream(then=stop_reading, at="head") as up,
        stage(up, tmp_path, server='max_body = "64MiB"') as (gw, raw),
    ):
        await raw.send(get("/", f"Content-Length: {64 * MIB}", method="POST"))
        sending = asyncio.create_task(push(raw, 64 * MIB))
        await paused(gw)
        sending.cancel()
        raw.reset()
        await until(lambda: raw.sock.fileno() < 0, "the reset is sent")
        go.set()
        await until(lambda: not gw.app._edge.connections, "the end of the connection")
        assert (await gw.record())["outcome"] in ("upstream_reset", "client_gone")


# -- over TLS --------------------------------------------------------------------------------------------------------


async def test_every_call_over_tls_is_settled_once(tmp_path: Path, certificate: Certificate) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, server=tls(certificate), routes=ONLY_X)
        async with gateway(text, tmp_path) as gw, client(gw.port, certificate.client()) as raw:
            assert [(await raw.ask(get(target))).status for target in ("/a", "/x", "/a", "/x")] == [404, 200, 404, 200]
            await raw.send(get("/a") * 3 + get("/x") * 2 + get("/last"))
            assert [(await raw.read_answer()).status for _ in range(6)] == [404] * 3 + [200] * 2 + [404]
            records = await gw.records(10)
            assert max(Counter(record["id"] for record in records).values()) == 1


ANSWERS = {
    "length": (answer(BODY),),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(BODY[:MIB], BODY[MIB:]),),
    "close": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, End.CLOSE),
}


@pytest.mark.parametrize("framing", ANSWERS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_large_answer_arrives_over_tls(
    tmp_path: Path, certificate: Certificate, framing: str, version: str
) -> None:
    async with (
        ScriptedUpstream(then=ANSWERS[framing]) as up,
        gateway(config(up.port, server=tls(certificate)), tmp_path) as gw,
        client(gw.port, certificate.client()) as raw,
    ):
        await raw.send(get(version=version))
        assert bytes((await raw.read_answer()).body) == BODY
        record = await gw.record()
        assert (record["outcome"], record["bytes_out"]) == ("answered", len(BODY))


async def test_a_tls_reader_that_takes_nothing_is_cut_off(tmp_path: Path, certificate: Certificate) -> None:
    clock = 'write_idle_timeout = "300ms"\n'
    async with (
        ScriptedUpstream((answer(bytes(32 * MIB)),)) as up,
        gateway(config(up.port, server=tls(certificate) + clock), tmp_path) as gw,
    ):
        raw = await connect(gw.port, certificate.client(), receive=4096)
        await raw.send(get())
        assert (await gw.record())["outcome"] == "client_timeout"
        await until(lambda: up.live == 0)
        raw.writer.transport.abort()


async def test_a_tls_client_that_says_no_goodbye_does_not_delay_the_end(
    tmp_path: Path, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.http1.LINGER", 0.05)
    window = 'drain = "300s"\nstop_grace = "600s"'
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, server=tls(certificate) + window), tmp_path) as gw,
    ):
        raw = await connect(gw.port, certificate.client())
        assert (await raw.ask(get())).status == 200
        raw.writer.transport.pause_reading()  # as a pool does with connections that rest in it
        await soon(gw.app.drain())
        raw.writer.transport.abort()

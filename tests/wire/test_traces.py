"""Traces as a collector gets them: one span for the call and one for each attempt, whose ids are those the upstream
saw, with what happened to a hold in between.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.otlp import Collector, attributes, collector
from tests.kit.raw import client, get
from tests.kit.upstreams import End, ScriptedUpstream, answer
from tests.kit.waiting import until

SERVER, CLIENT = 2, 3  # kinds of spans
ERROR = 2  # the status of one
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def otlp() -> Iterator[Collector]:
    with collector() as found:
        yield found


def traced(otlp: Collector, news: float = 1, empty: float = 1, error: float = 1, more: str = "") -> str:
    sample = f"sample = {{ news = {news}, empty = {empty}, error = {error} }}"
    return f'[telemetry]\notlp = "{otlp.url}"\nheaders = {{ X-Collector = "let me in" }}\n{sample}\n{more}\n'


async def trace(otlp: Collector, count: int) -> list[Any]:
    """The only trace there is, once it has `count` spans: the server's first, then the client's as they began."""
    await until(lambda: len(otlp.spans) >= count, f"{count} spans")
    spans = sorted(otlp.spans, key=lambda span: (span.kind, span.start_time_unix_nano))
    assert len(spans) == count and len({span.trace_id for span in spans}) == 1
    assert [span.kind for span in spans] == [SERVER] + [CLIENT] * (count - 1)
    return spans


async def test_a_poll_is_one_span_of_the_server_and_one_of_the_client(otlp: Collector, tmp_path: Path) -> None:
    news = asyncio.get_running_loop().create_future()
    text = hold(cursor='{ request = "query:since" }', ask='[{ in = "query", name = "timeout", unit = "s" }]')
    async with (
        ScriptedUpstream((news,)) as up,
        gateway(config(up.port, more=text + traced(otlp), routes=route("r", "/u/{x}", ["poll"])), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/u/a?since=5&timeout=9", "User-Agent: test/1", host="api.test:81"))
        await until(lambda: up.held == 1)
        news.set_result(answer(b"[1]"))
        assert (await raw.read_answer()).status == 200
        record = await gw.record()
        server, forwarded = await trace(otlp, 2)
    assert server.trace_id.hex() == record["trace"] == record["id"]
    assert forwarded.parent_span_id == server.span_id and not server.parent_span_id
    version, trace_id, span_id, flags = (up.requests[0].one("traceparent") or "").split("-")
    assert (version, trace_id, span_id, flags) == ("00", record["id"], forwarded.span_id.hex(), "03")
    assert (server.name, forwarded.name) == ("GET /u/{x}", "GET")
    shown = attributes(server)
    assert {name: shown.pop(name) for name in ("longpoll.granted", "longpoll.held")} == {
        "longpoll.granted": record["hold_granted"], "longpoll.held": record["held"],
    }  # fmt: skip
    assert shown == {
        "http.request.method": "GET", "http.route": "/u/{x}", "url.path": "/u/a", "url.scheme": "http",
        "http.response.status_code": 200, "network.protocol.version": "1.1", "server.address": "api.test",
        "server.port": 81, "client.address": "127.0.0.1", "user_agent.original": "test/1", "longpoll.asked": 9.0,
        "longpoll.outcome": "news", "longpoll.dialect": "poll", "longpoll.cursor": "5", "longpoll.route": "r",
        "longpoll.endpoint": f"127.0.0.1:{up.port}", "longpoll.attempts": 1, "longpoll.call_id": record["id"],
    }  # fmt: skip
    assert attributes(forwarded) == {
        "http.request.method": "GET", "server.address": "127.0.0.1", "server.port": up.port,
        "url.full": f"http://127.0.0.1:{up.port}/u/a?since=REDACTED&timeout=REDACTED",
        "http.response.status_code": 200, "network.protocol.version": "1.1",
        "longpoll.endpoint": f"127.0.0.1:{up.port}", "longpoll.upstream": "up",
    }  # fmt: skip
    parked, woken = server.events
    assert (parked.name, woken.name) == ("parked", "woken")
    assert server.start_time_unix_nano <= parked.time_unix_nano == forwarded.start_time_unix_nano
    assert parked.time_unix_nano < woken.time_unix_nano <= server.end_time_unix_nano
    assert server.status.code == forwarded.status.code == 0


async def test_the_collector_is_told_who_sends_and_gets_its_headers(otlp: Collector, tmp_path: Path) -> None:
    more = traced(otlp, more='service_name = "edge"')
    async with ScriptedUpstream() as up, gateway(config(up.port, more=more), tmp_path) as gw:
        async with client(gw.port) as raw:
            await raw.ask(get())
        await trace(otlp, 2)
    (resource,) = otlp.resources
    assert (resource["service.name"], resource["service.version"]) == ("edge", "0.1.0")
    assert resource["service.instance.id"]
    assert otlp.requests[0][1]["x-collector"] == "let me in"


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_poll_that_was_sent_again_has_a_span_for_each_time(otlp: Collector, tmp_path: Path, end: End) -> None:
    text = hold() + traced(otlp)
    async with ScriptedUpstream((end,), (answer(b"[1]"),)) as up:
        async with (
            gateway(config(up.port, more=text, routes=route(policies=["poll"])), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            await raw.ask(get())
            server, first, second = await trace(otlp, 3)
        sent = [(request.one("traceparent") or "").split("-")[2] for request in up.requests]
    assert sent == [first.span_id.hex(), second.span_id.hex()] and sent[0] != sent[1]
    assert first.status.code == ERROR and attributes(first)["error.type"] == "upstream_reset"
    assert second.status.code == server.status.code == 0 and attributes(second)["http.request.resend_count"] == 1
    assert "http.response.status_code" not in attributes(first)
    assert first.end_time_unix_nano <= second.start_time_unix_nano
    assert server.events[0].time_unix_nano == first.start_time_unix_nano


async def test_an_endpoint_that_could_not_be_reached_has_a_span_of_its_own(otlp: Collector, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = nobody.getsockname()[1]
        async with (
            ScriptedUpstream() as up,
            gateway(config(gone, up.port, more=traced(otlp)), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            while not any(attributes(span).get("error.type") for span in otlp.spans):  # endpoints take turns
                assert (await raw.ask(get())).status == 200
                await asyncio.sleep(0.01)
    failed = next(span for span in otlp.spans if span.status.code == ERROR)
    assert (attributes(failed)["error.type"], attributes(failed)["server.port"]) == ("upstream_refused", gone)
    assert {span.status.code for span in otlp.spans if span.trace_id == failed.trace_id and span is not failed} == {0}


async def test_a_request_that_is_none_has_a_span_too(otlp: Collector, tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, more=traced(otlp)), tmp_path) as gw:
        async with client(gw.port) as raw:
            await raw.send(b"\x00\x1b[2J \xff HTTP/1.1\r\n\r\n")
            await raw.read_answer()
        (span,) = await trace(otlp, 1)
    shown = attributes(span)
    assert (span.name, shown["http.request.method"], shown["longpoll.outcome"]) == ("HTTP", "_OTHER", "bad_request")
    assert span.status.code == 0 and shown["http.response.status_code"] == 400


async def test_a_poll_that_is_ended_by_the_gateways_end_says_so(otlp: Collector, tmp_path: Path) -> None:
    quiet = asyncio.Event()
    text = hold() + traced(otlp)
    async with ScriptedUpstream((quiet,)) as up:
        async with (
            gateway(
                config(up.port, more=text, routes=route(policies=["poll"]), server='drain = "100ms"'), tmp_path
            ) as gw,
            client(gw.port) as raw,
        ):
            await raw.send(get())
            await until(lambda: up.held == 1)
            await gw.app.drain()
        server, forwarded = await trace(otlp, 2)
    assert [event.name for event in server.events] == ["parked", "drained"]
    assert attributes(server)["longpoll.outcome"] == "drained" and server.status.code == forwarded.status.code == 0

"""Answers that mean "no news" in one protocol or another, on real sockets: they reach the client as they are, are
recorded as `empty`, and count as nobody's fault, whatever their status.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.otlp import attributes, collector
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import until

ROUTES = route(policies=["poll"])
EMPTY = [
    ("200 OK", "body empty", b""),
    ("202 Accepted", "status == 202", b"later"),
    ("204 No Content", "status == 204", b""),
    ("304 Not Modified", "status == 304", b""),
    ("404 Not Found", '{ all = ["status == 404", "json:/code == MessageNotExist"] }', b'{"code":"MessageNotExist"}'),
    ("408 Request Timeout", "status == 408", b"timeout"),
    ("503 Service Unavailable", "status == 503", b"no news"),
]


def dialect(test: str) -> str:
    return hold(idle=f"[{test if test.startswith('{') else repr(test)}]")


@pytest.mark.parametrize(("status", "test", "body"), EMPTY)
async def test_no_news_is_no_failure_whatever_its_status(tmp_path: Path, status: str, test: str, body: bytes) -> None:
    empty = answer(body, status, length=not status.startswith(("204", "304")))
    scripts = [(empty,)] * 4 + [(answer(b"oops", "500 Internal Server Error"),)]
    with collector() as otlp:
        telemetry = f'[telemetry]\notlp = "{otlp.url}"\nsample = {{ news = 1.0, empty = 1.0, error = 1.0 }}\n'
        text = config("PORT", more=dialect(test) + telemetry, routes=ROUTES)
        async with (
            ScriptedUpstream(*scripts) as up,
            gateway(text.replace("PORT", up.url), tmp_path) as gw,
            client(gw.port) as raw,
        ):
            found = [await raw.ask(get()) for _ in range(5)]
            assert [(one.status, bytes(one.body)) for one in found] == [(int(status[:3]), body)] * 4 + [(500, b"oops")]
            records = await gw.records(5)
            said = [(record["outcome"], record["blame"], record["level"]) for record in records]
            assert said == [("empty", "none", "info")] * 4 + [("upstream_error", "upstream", "warning")]
            await until(lambda: len(otlp.spans) >= 10, "ten spans")
            failed = {
                span.trace_id.hex() for span in otlp.spans if span.status.code or "error.type" in attributes(span)
            }
            assert failed == {records[4]["trace"]}
            page = (await gw.admin("/metrics"))[1].decode()
            assert (
                f'longpoll_endpoint_calls_total{{upstream="up",endpoint="127.0.0.1:{up.port}",outcome="empty"}} 4'
                in page
            )


async def test_an_answer_is_compared_with_what_the_request_said(tmp_path: Path) -> None:
    table = hold(when='["query:index > 0"]', idle='["header:X-Index == query:index"]', empty='{ answer = "origin" }')
    same = answer(b'["all of it"]' * 1000, "200 OK", "X-Index: 7")
    news = answer(b'["all of it"]', "200 OK", "X-Index: 8")
    async with (
        ScriptedUpstream((same,), (news,), (same,)) as up,
        stage(up, tmp_path, more=table, routes=ROUTES) as (
            gw,
            raw,
        ),
    ):
        for index in ("7", "7", "9"):
            assert (await raw.ask(get(f"/v1/kv/a?index={index}"))).status == 200
        assert [record["outcome"] for record in await gw.records(3)] == ["empty", "news", "news"]


async def test_a_heartbeat_in_pieces_is_no_news_and_an_event_beside_it_is(tmp_path: Path) -> None:
    pause = asyncio.Event()
    beat = answer(b'{"events":[{"type":"heartbeat","id":1}]}')
    event = answer(b'{"events":[{"type":"heartbeat","id":1},{"type":"message","id":2}]}')
    table = hold(idle='["every json:/events/*/type == heartbeat"]')
    scripts = ((beat[:-20], pause, beat[-20:]), (event,), (answer(b'{"events":[]}'),))
    async with ScriptedUpstream(*scripts) as up, stage(up, tmp_path, more=table, routes=ROUTES) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.held == 1)
        pause.set()
        await raw.read_answer()
        await raw.ask(get())
        await raw.ask(get())
        assert [record["outcome"] for record in await gw.records(3)] == ["empty", "news", "news"]


async def test_an_xml_answer_without_content_is_no_news(tmp_path: Path) -> None:
    table = hold(idle='[{ all = ["xml: empty", "xml:@type absent"] }]', replay='"never"')
    bodies = (b"<body xmlns='http://jabber.org/protocol/httpbind'/>", b"<body type='terminate'/>", b"<body><m/></body>")
    scripts = [(answer(body, "200 OK", "Content-Type: text/xml"),) for body in bodies]
    async with ScriptedUpstream(*scripts) as up, stage(up, tmp_path, more=table, routes=ROUTES) as (gw, raw):
        for _ in bodies:
            await raw.ask(post(b"<body sid='a'/>", "/http-bind", "Content-Type: text/xml"))
        assert [record["outcome"] for record in await gw.records(3)] == ["empty", "news", "news"]

"""The limits and clocks of the downstream edge: which status each breach gets, that it is recorded, and that no byte
of it reaches an upstream. Clocks are configured short and waited out, never measured.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, route
from tests.kit.raw import RawClient, client, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import soon, until

MIB = 1024 * 1024
GET_ONLY = route("got", "/got", match='methods = ["GET"]') + route("rest", "/rest/**")
ONE_HOST = route(match='host = "api.example.com"')


def is_problem(found: Message) -> bool:
    """RFC 9457 document of the gateway's own: no cache, no version, no Server."""
    document = json.loads(bytes(found.body))
    assert found.one("Content-Type") == "application/problem+json"
    assert document["status"] == found.status
    assert {"type", "title", "detail", "instance"} <= set(document)
    assert found.one("Cache-Control") == "no-store"
    assert found.one("Server") is None
    assert "aiohttp" not in found.raw_head.decode("latin-1").lower() + bytes(found.body).decode().lower()
    return True


REFUSED = [
    ("no version", b"GET /\r\n\r\n", 400),
    ("garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ("bare LF", b"GET / HTTP/1.1\nHost: x\n\n", 400),
    ("space before colon", b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
    ("NUL in a value", get("/", "X: a\x00b"), 400),
    ("two lengths", get("/", "Content-Length: 1", "Content-Length: 2", method="POST") + b"ab", 400),
    ("two credentials", get("/", "Authorization: Bearer a", "Authorization: Bearer b"), 400),
    ("fragment", get("/a#b"), 400),
    ("asterisk GET", get("*"), 400),
    ("connect", get("localhost:80", method="CONNECT"), 405),
    ("trace", get(method="TRACE"), 405),
    ("declared too large", get("/", "Content-Length: 2000", method="POST"), 413),
    ("declared absurdly", get("/", "Content-Length: 999999999999999999", method="POST"), 413),
    ("long target", get("/" + "a" * 9000), 414),
    ("long query", get("/?" + "a" * 9000), 414),
    ("long field", get("/", "X: " + "a" * 17000), 431),
    ("many fields", get("/", *(f"X-{n}: y" for n in range(200))), 431),
    ("many bytes", get("/", *(f"X-{n}: {'y' * 900}" for n in range(20))), 431),
    ("gzip coding", get("/", "Transfer-Encoding: gzip", method="POST"), 400),  # RFC 9112 6.3, rule 4
    ("gzip and chunked", get("/", "Transfer-Encoding: gzip, chunked", method="POST"), 501),
    ("unknown method", get(method="BREW"), 501),
    ("HTTP/2.0", get(version="2.0"), 505),
    ("HTTP/1.2", get(version="1.2"), 505),
    ("preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
]


@pytest.mark.parametrize(("request_bytes", "status"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_a_refused_request_gets_its_status_and_a_record(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='max_body = "1KiB"') as (gw, raw):
        await raw.send(request_bytes)
        found = await raw.read_answer()
        assert found.status == status
        assert is_problem(found)
        if status in (400, 413, 414, 431, 501, 505):
            assert found.one("Connection") == "close"
            assert await raw.closed()
        assert not up.requests
        record = await gw.record()
        assert record["status"] == status
        assert record["outcome"] == {405: "method_not_allowed", 413: "too_large"}.get(status, "bad_request")


@pytest.mark.parametrize("method", ["POST", "DELETE", "CONNECT", "TRACE", "OPTIONS"])
async def test_a_wrong_method_is_told_the_right_ones(tmp_path: Path, method: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=GET_ONLY) as (_, raw):
        target = "localhost:80" if method == "CONNECT" else "/got"
        found = await raw.ask(get(target, method=method))
        assert found.status == 405
        allow = found.one("Allow")
        assert allow is not None
        if method not in ("CONNECT", "TRACE"):
            assert {"GET", "HEAD"} <= {name.strip() for name in allow.split(",")}
        assert not up.requests


async def test_no_route_is_404_and_keeps_the_connection(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=GET_ONLY) as (gw, raw):
        found = await raw.ask(get("/nowhere"))
        assert (found.status, is_problem(found)) == (404, True)
        assert (await raw.ask(get("/got"))).status == 200
        assert [record["outcome"] for record in await gw.records(2)] == ["no_route", "answered"]


async def test_an_unknown_host_is_421_when_every_route_names_hosts(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=ONE_HOST) as (_, raw):
        assert (await raw.ask(get(host="api.example.com"))).status == 200
        found = await raw.ask(get(host="other.example.com"))
        assert (found.status, is_problem(found)) == (421, True)
        assert len(up.requests) == 1


async def test_a_chunked_body_is_cut_off_at_the_limit(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='max_body = "1KiB"') as (gw, raw):
        await raw.send(post_chunked(b"x" * 600, b"x" * 600, end=False))
        found = await raw.read_answer()
        assert found.status == 413
        assert await raw.closed()
        await until(lambda: up.live == 0)
        assert not any(request.complete for request in up.requests)
        assert (await gw.record())["outcome"] == "too_large"


async def test_a_body_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='max_body = "1KiB"') as (_, raw):
        assert (await raw.ask(post(b"x" * 1024))).status == 200
        assert (await raw.ask(post_chunked(b"x" * 1000, b"x" * 24))).status == 200


async def drip(raw: RawClient, data: bytes) -> None:
    """Sends byte after byte, for ever, until the other side closes."""
    while True:
        await raw.send(data)
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("sent", ["nothing more", "drips"])
async def test_a_head_that_takes_too_long_is_408(tmp_path: Path, sent: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server='header_timeout = "300ms"') as (gw, raw):
        await raw.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
        dripping = asyncio.create_task(drip(raw, b"a")) if sent == "drips" else None
        found = await soon(raw.read_answer())
        assert (found.status, found.one("Connection")) == (408, "close")
        assert await raw.closed()
        if dripping is not None:
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
        assert (await gw.record())["outcome"] == "client_timeout"
        assert not up.requests


async def test_a_connection_that_never_says_anything_is_closed(tmp_path: Path) -> None:
    server = 'header_timeout = "200ms"\nkeepalive_timeout = "200ms"'
    async with ScriptedUpstream() as up, stage(up, tmp_path, server=server) as (_, raw):
        assert await raw.closed(), "nothing was asked, so nothing is answered"


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_stops_is_408_and_frees_the_upstream(tmp_path: Path, framing: str) -> None:
    begun = get("/", "Content-Length: 10", method="POST") + b"abc"
    async with (
        ScriptedUpstream() as up,
        stage(up, tmp_path, server='body_idle_timeout = "300ms"') as (gw, raw),
    ):
        await raw.send(begun if framing == "length" else post_chunked(b"abc", end=False))
        found = await raw.read_answer()
        assert (found.status, found.one("Connection")) == (408, "close")
        assert await raw.closed()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_timeout"
        assert not any(request.complete for request in up.requests)


async def test_an_idle_connection_is_closed_without_a_word(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        stage(up, tmp_path, server='keepalive_timeout = "200ms"') as (gw, raw),
    ):
        assert (await raw.ask(get())).status == 200
        assert await raw.closed()
        assert (await gw.record())["outcome"] == "answered"


@pytest.mark.parametrize("size", [MIB, 32 * MIB])
async def test_a_reader_that_takes_nothing_is_cut_off(tmp_path: Path, size: int) -> None:
    """Also of an answer that the kernel would have room for."""
    async with (
        ScriptedUpstream((answer(bytes(size)),)) as up,
        gateway(config(up.port, server='write_idle_timeout = "300ms"\nheader_timeout = "60s"'), tmp_path) as gw,
        client(gw.port, receive=4096) as raw,
    ):
        await raw.send(get())
        assert (await gw.record())["outcome"] == "client_timeout"
        await until(lambda: up.live == 0)

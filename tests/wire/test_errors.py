"""Errors the gateway makes itself: what stands in them, that they arrive although the client is still sending, and that
what the client was sending is never taken for its next request.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, route
from tests.kit.raw import get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream

MARK = "zqxj"
MIB = 1024 * 1024
SIGNED = {"more": SIGNED_IN, "routes": route("only", "/only/**", ["signed-in"])}
ECHOES = [
    ("path", get(f"/{MARK}")),
    ("query", get(f"/nowhere?{MARK}={MARK}")),
    ("bad path", get(f"/%00{MARK}")),
    ("fragment", get(f"/a#{MARK}")),
    ("method", get(method=MARK.upper())),
    ("version", f"GET / HTTP/{MARK}\r\n\r\n".encode()),
    ("host", get(host=f"{MARK}@x")),
    ("field name", get("/", f"{MARK} : x")),
    ("field value", get("/", f"X: \x01{MARK}")),
    ("coding", get("/", f"Transfer-Encoding: {MARK}, chunked", method="POST")),
    ("length", get("/", f"Content-Length: {MARK}", method="POST")),
    ("expectation", get("/", f"Expect: {MARK}")),
    ("token", get("/only/x", f"Authorization: Bearer {MARK}")),
    ("scheme", get("/only/x", f"Authorization: {MARK} x")),
    ("chunk", post_chunked(end=False) + MARK.encode() + b"\r\n"),
]


@pytest.mark.parametrize("request_bytes", [case[1] for case in ECHOES], ids=[case[0] for case in ECHOES])
async def test_an_error_says_nothing_of_its_request_and_nothing_of_its_maker(
    tmp_path: Path, request_bytes: bytes
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **SIGNED) as (gw, raw):
        await raw.send(request_bytes)
        found = await raw.read_answer()
        assert 400 <= found.status < 600
        text = (found.raw_head + found.body).decode("latin-1").lower()
        assert MARK not in text
        assert not any(word in text for word in ("aiohttp", "python", "uvloop", "server:", "longpoll-gateway/", "0.1"))
        document = json.loads(bytes(found.body))
        assert document["instance"].endswith((await gw.record())["id"])
        assert found.one("Date") is not None
        assert int(found.one("Content-Length") or 0) == len(found.body)


STILL_SENDING = [
    ("malformed head", get("/", "X: \x00", "Content-Length: 1048576", method="POST"), 400),
    ("no route", get("/nowhere", "Content-Length: 1048576", method="POST"), 404),
    ("no token", get("/only/x", "Content-Length: 1048576", method="POST"), 401),
    ("no token, chunked", get("/only/x", "Transfer-Encoding: chunked", method="POST") + b"100000\r\n", 401),
    ("too large", get("/only/x", bearer(), "Content-Length: 104857600", method="POST"), 413),
    ("unknown version", get("/", "Content-Length: 1048576", method="POST", version="3.0"), 505),
    ("long head", get("/", "X: " + "y" * 17000, "Content-Length: 1048576", method="POST"), 431),
]


@pytest.mark.parametrize(
    ("head", "status"), [case[1:] for case in STILL_SENDING], ids=[case[0] for case in STILL_SENDING]
)
async def test_a_client_that_is_still_sending_gets_to_read_why_not(tmp_path: Path, head: bytes, status: int) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **SIGNED) as (_, raw):
        try:
            await raw.send(head, *(bytes(16384) for _ in range(32)))
        except ConnectionError:
            pass
        found = await raw.read_answer()
        assert found.status == status
        assert raw.reset_by is None
        assert not up.requests


@pytest.mark.parametrize("target", ["/nowhere", "/only/x"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_refused_body_is_never_the_next_request(tmp_path: Path, target: str, framing: str) -> None:
    inside = get("/only/inside", bearer())
    refused = post(inside, target) if framing == "length" else post_chunked(inside, target=target)
    async with ScriptedUpstream() as up, stage(up, tmp_path, **SIGNED) as (_, raw):
        await raw.send(refused, get("/only/next", bearer(), "Connection: close"))
        statuses = [found.status for found in await raw.read_all()]
        assert statuses[0] in (401, 404)
        assert [request.target for request in up.requests] in ([], ["/only/next"])


async def test_an_answer_without_a_date_gets_one(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):  # RFC 9110 6.6.1
        assert (await raw.ask(get())).one("Date") is not None


async def test_head_of_an_error_has_no_body(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **SIGNED) as (_, raw):
        found = await raw.ask(get("/nowhere", method="HEAD"))
        assert (found.status, bytes(found.body)) == (404, b"")
        assert (await raw.ask(get("/only/x", bearer()))).status == 200

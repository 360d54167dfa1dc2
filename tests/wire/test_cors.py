"""Pages of other origins, end to end: preflights are answered before anybody asks for a token, and every answer of the
route, the gateway's own errors included, can be read by the page that asked. PAINS L: a page that sees a CORS error
instead of the real 401 or 504 cannot do the right thing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, get, post
from tests.kit.strict import Message
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer

APP = "https://app.example.com"
CORS = f"""
[policy.web.cors]
origins = ["{APP}"]
headers = ["Authorization"]
credentials = true
max_age = "10m"
"""
ROUTES = route("got", "/got", ["web", "signed-in"], match='methods = ["GET"]') + route("plain", "/plain")
TABLES = {"more": SIGNED_IN + CORS, "routes": ROUTES}


def asks(method: str = "GET", origin: str = APP, *fields: str, target: str = "/got") -> bytes:
    """A preflight."""
    return get(target, f"Origin: {origin}", f"Access-Control-Request-Method: {method}", *fields, method="OPTIONS")


def readable(found: Message) -> bool:
    """Whether a page of APP that sent credentials may read this answer."""
    vary = {name.strip().lower() for line in found.all("Vary") for name in line.split(",")}
    return (
        found.one("Access-Control-Allow-Origin") == APP
        and found.one("Access-Control-Allow-Credentials") == "true"
        and "origin" in vary
    )


async def test_a_preflight_is_answered_here_without_a_token(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, **TABLES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        found = await raw.ask(asks("GET", APP, "Access-Control-Request-Headers: authorization"))
        assert (found.status, bytes(found.body)) == (204, b"")
        assert readable(found)
        assert found.one("Access-Control-Allow-Methods") == "GET"
        assert found.one("Access-Control-Allow-Headers") == "Authorization"
        assert found.one("Access-Control-Max-Age") == "600"
        assert (await raw.ask(get("/got", f"Origin: {APP}", bearer()))).status == 200
        records = await gw.records(2)
        assert [record["outcome"] for record in records] == ["preflight", "answered"]
        assert (records[0]["route"], records[0]["attempts"], records[0].get("consumer")) == ("got", 0, None)
        assert [request.method for request in up.requests] == ["GET"]


@pytest.mark.parametrize(
    ("preflight", "status"),
    [
        (asks("GET", "https://evil.example"), 403),
        (asks("POST"), 405),
        (asks("GET", APP, "Access-Control-Request-Headers: x-other"), 403),
        (asks("GET", target="/plain"), 200),  # no cors there: the upstream's business
        (asks("GET", target="/nowhere"), 404),
    ],
    ids=["another origin", "another method", "another header", "a route without cors", "no route"],
)
async def test_a_preflight_that_is_refused_lets_no_page_in(tmp_path: Path, preflight: bytes, status: int) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, **TABLES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        found = await raw.ask(preflight)
        assert found.status == status
        assert b"evil" not in found.raw_head
        assert status != 403 or found.one("Access-Control-Allow-Origin") in (None, APP)
        assert len(up.requests) == (1 if status == 200 else 0)


OK = answer(b"ok", "200 OK", "Access-Control-Allow-Origin: https://other.example", "Vary: Accept")
ERRORS = [
    ("200", get("/got", f"Origin: {APP}", bearer()), (OK,), 200),
    ("404 of the upstream", get("/got", f"Origin: {APP}", bearer()), (answer(b"", "404 Not Found"),), 404),
    ("no token", get("/got", f"Origin: {APP}"), (OK,), 401),
    ("bad token", get("/got", f"Origin: {APP}", "Authorization: Bearer x"), (OK,), 401),
    ("wrong method", post(b"", "/got", f"Origin: {APP}", bearer()), (OK,), 405),
    ("too large", get("/got", f"Origin: {APP}", bearer(), "Content-Length: 99999999"), (OK,), 413),
    ("reset", get("/got", f"Origin: {APP}", bearer()), (End.RESET,), 502),
    ("silent", get("/got", f"Origin: {APP}", bearer()), (), 504),
]


@pytest.mark.parametrize(
    ("request_bytes", "script", "status"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS]
)
async def test_a_page_can_read_every_answer_of_the_route(
    tmp_path: Path, request_bytes: bytes, script: tuple[bytes | End, ...], status: int
) -> None:
    clocks = 'response_timeout = "200ms"' if status == 504 else ""
    async with (
        ScriptedUpstream(then=script) as up,
        gateway(config(up.port, upstream=clocks, **TABLES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        found = await raw.ask(request_bytes)
        assert found.status == status
        assert readable(found), found.headers
        if status == 401:
            exposed = (found.one("Access-Control-Expose-Headers") or "").lower()
            assert "www-authenticate" in exposed
            assert found.one("WWW-Authenticate")


async def test_a_page_can_read_a_no_news_the_gateway_said_itself(tmp_path: Path) -> None:
    quick = hold(absent='"200ms"', margin='"100ms"')
    routes = route(policies=["web", "poll"])
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=CORS + quick, routes=routes), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        found = await raw.ask(get("/", f"Origin: {APP}"))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        assert readable(found)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://app.example.com.evil.example", ""])
async def test_no_other_page_can_and_no_cache_confuses_them(tmp_path: Path, origin: str) -> None:
    async with (
        ScriptedUpstream(then=(OK,)) as up,
        gateway(config(up.port, **TABLES), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        fields = [f"Origin: {origin}"] if origin else []
        for found in (await raw.ask(get("/got", bearer(), *fields)), await raw.ask(get("/got", *fields))):
            assert found.one("Access-Control-Allow-Origin") is None
            assert any("Origin" in line for line in found.all("Vary"))

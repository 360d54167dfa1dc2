"""What web pages, strangers and programs get from the admin listener, on real sockets: nothing a browser was talked
into sending changes anything, and every answer has one shape.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from gateway.admin import exchange
from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get, post
from tests.kit.strict import Message
from tests.kit.waiting import until

TOKEN = "an admin token of the tests"
READS = ["/healthz", "/readyz", "/metrics", "/api/held", "/api/routes", "/api/upstreams"]
WRITES = ["/api/held/end", "/api/reload", "/api/drain"]
ALL = b'{"all": true}'
GIVEN = f"Authorization: Bearer {TOKEN}"


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose admin listener asks for TOKEN and knows one name."""
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", TOKEN)
    lines = '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"\nhosts = ["gateway.internal"]\n'
    return config(1).replace("[admin]\n", lines)


def said(found: Message) -> tuple[int, str]:
    return found.status, json.loads(bytes(found.body))["error"]


@pytest.mark.parametrize("path", [*READS, *WRITES, "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    ("host", "field", "status"),
    [
        ("rebound.example.com", "Gateway-Admin: 1", 421),
        ("localhost", "Origin: https://evil.example", 403),
        ("localhost", "Origin: null", 403),
        ("localhost", "Sec-Fetch-Site: cross-site", 403),
    ],
)
async def test_no_page_of_elsewhere_gets_anything(
    tmp_path: Path, path: str, method: str, host: str, field: str, status: int
) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        asked = get(path, field, "Gateway-Admin: 1", "Content-Length: 0", method=method, host=host)
        found = await raw.ask(asked)
        assert found.status == status
        assert found.one("Access-Control-Allow-Origin") is None


async def test_a_form_cannot_write(tmp_path: Path) -> None:
    """An old browser sends no Origin with it; what it cannot do is set a header."""
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            for path in WRITES:
                found = await raw.ask(post(ALL, path, f"Content-Type: {kind}"))
                assert said(found) == (403, "a request that changes something needs the header Gateway-Admin: 1")


async def test_a_program_without_a_token_says_that_it_is_one(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for field in ("Gateway-Admin: 1", "gateway-admin: yes", "Gateway-Admin:"):
            found = await raw.ask(post(ALL, "/api/held/end", field))
            assert json.loads(bytes(found.body)) == {"ended": 0, "not_endable": 0}


async def test_with_a_token_everything_but_health_needs_it(tmp_path: Path, text: str) -> None:
    wrong = ["Gateway-Admin: 1", f"{GIVEN}x", GIVEN[:-1], f"Authorization: Basic {TOKEN}", f"Authorization: {TOKEN}"]
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        for field in wrong:
            for path in (*READS[2:], "/nowhere"):
                found = await raw.ask(get(path, field))
                assert (found.status, found.one("WWW-Authenticate")) == (401, 'Bearer realm="admin"')
                assert TOKEN[:-1].encode() not in found.body
            for path in WRITES:
                assert (await raw.ask(post(ALL, path, field))).status == 401
        assert [(await raw.ask(get(path))).status for path in READS[:2]] == [200, 200]
        assert [(await raw.ask(get(path, GIVEN))).status for path in READS] == [200] * len(READS)
        assert (await raw.ask(post(ALL, "/api/held/end", GIVEN))).status == 200


@pytest.mark.parametrize(
    "target",
    ["/healthz/../api/held", "/healthz%2f..%2fapi%2fheld", "//api/held", "/%61pi/held", "/healthz#/api/held",
     "/api/held?/healthz", "/api/held;/healthz", "http://localhost/api/held", "/healthz/"],
)  # fmt: skip
async def test_no_spelling_of_a_path_goes_round_the_token(tmp_path: Path, text: str, target: str) -> None:
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        found = await raw.ask(get(target))
        assert found.status in (400, 401) or json.loads(bytes(found.body)).get("status") == "ok"


@pytest.mark.parametrize("bad", [b"garbage\r\n\r\n", get("/healthz", host=None), get("/healthz", "Bad Name: x")])
async def test_malformed_requests_do_not_fill_the_log(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        caplog.clear()
        assert (await raw.ask(bad)).status == 400
        assert not [record for record in caplog.records if record.exc_info or record.levelname == "ERROR"]


async def test_a_name_that_is_listed_is_served_even_here(tmp_path: Path, text: str) -> None:
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        own = "Origin: http://gateway.internal:9090"
        assert (await raw.ask(get("/api/held", GIVEN, own, host="gateway.internal:9090"))).status == 200
        assert (await raw.ask(get("/api/held", GIVEN, host="other.internal:9090"))).status == 421


async def test_a_listener_that_others_can_reach_is_asked_by_its_address(tmp_path: Path, text: str) -> None:
    text = text.replace("[admin]\ntoken", '[admin]\nlisten = "0.0.0.0:0"\ntoken').replace(
        'listen = "127.0.0.1:0"\n[log]', "[log]"
    )
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        hosts = [
            "192.0.2.1:9090",
            "[2001:db8::1]",
            "localhost",
            "gateway.internal",
            "evil.example",
            "192.0.2.1.evil.example",
        ]
        found = [(await raw.ask(get("/readyz", host=host))).status for host in hosts]
        assert found == [200, 200, 200, 200, 421, 421]


async def test_a_unix_socket_has_no_name_and_is_written_to_like_the_others(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with gateway(config(1, admin=f"unix:{path}"), tmp_path), client(path) as raw:
        assert (await raw.ask(get("/api/held", host="whatever"))).status == 200
        assert (await raw.ask(post(ALL, "/api/held/end"))).status == 403
        assert (await raw.ask(post(ALL, "/api/held/end", "Gateway-Admin: 1"))).status == 200


async def test_probes_of_old_need_no_host(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        assert (await raw.ask(get("/healthz", host=None, version="1.0"))).status == 200


async def test_every_answer_has_one_shape(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        asked = [get(path) for path in (*READS, *WRITES, "/nowhere")]
        asked += [post(ALL, path) for path in (*READS, *WRITES)] + [get("/healthz", host="evil.example")]
        for request in asked:
            found = await raw.ask(request)
            assert found.one("Cache-Control") == "no-store"
            assert found.one("X-Content-Type-Options") == "nosniff"
            assert found.one("Server") is None
            assert str(found.one("Content-Security-Policy")).startswith("default-src 'none'; ")
            if b"/metrics" not in request or found.status != 200:
                assert found.one("Content-Type") == "application/json"
                assert isinstance(json.loads(bytes(found.body)), dict)


async def test_a_wrong_method_is_told_the_right_one(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for path in READS:
            found = await raw.ask(post(b"", path))
            assert (*said(found), found.one("Allow")) == (405, "only GET and HEAD are served here", "GET, HEAD")
            assert (await raw.ask(get(path, method="HEAD"))).status == 200
        for path in WRITES:
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                found = await raw.ask(get(path, "Content-Length: 0", method=method))
                assert (*said(found), found.one("Allow")) == (405, "only POST is served here", "POST")
            found = await raw.ask(get(path, method="HEAD"))
            assert (found.status, found.one("Allow")) == (405, "POST")


@pytest.mark.parametrize(
    ("body", "fields", "status", "text"),
    [
        (b"x" * 65_537, (), 413, "the body is longer than 65536 bytes"),
        (
            gzip.compress(b"x" * 10_000_000, mtime=0),
            ("Content-Encoding: gzip",),
            413,
            "the body is longer than 65536 bytes",
        ),
        (b"not gzip", ("Content-Encoding: gzip",), 400, "the body is malformed"),
        (b'{"all": true', (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"route=updates", (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"[]", (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"null", (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b'"all"', (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"\xff\xfe", (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b'{"route": "\\ud800"}', (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"[" * 60_000, (), 400, 'the body is not a JSON object; write one such as {"route": "updates"}'),
        (b"{}", (), 400, "the filter cannot be used"),
        (b"", (), 400, "the filter cannot be used"),
    ],
)
async def test_a_body_that_cannot_be_used(
    tmp_path: Path, body: bytes, fields: tuple[str, ...], status: int, text: str
) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        assert said(await raw.ask(post(body, "/api/held/end", "Gateway-Admin: 1", *fields))) == (status, text)


async def test_a_filter_stands_in_one_place_and_says_everything_once(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        found = await raw.ask(post(ALL, "/api/held/end?route=x", "Gateway-Admin: 1"))
        assert said(found) == (400, "the filter is in the body and in the query; write it in one of them")
        found = await raw.ask(post(b"", "/api/held/end?route=x&route=y", "Gateway-Admin: 1"))
        assert said(found) == (400, "a parameter is given twice")


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "BODY_TIMEOUT", 0.05)
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        head = get("/api/held/end", "Gateway-Admin: 1", "Content-Length: 10", method="POST")
        assert said(await raw.ask(head + b'{"all"')) == (408, "the body did not come")


async def test_a_client_that_leaves_in_its_body_is_no_bug(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        async with client(gw.admin_port) as raw:
            await raw.send(get("/api/held/end", "Gateway-Admin: 1", "Content-Length: 10", method="POST"))
        assert gw.app._admin is not None
        server = gw.app._admin._runner.server
        await until(lambda: server is not None and not server.connections)

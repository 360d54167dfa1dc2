"""The admin listener: health and readiness for everybody, everything else for whoever has the token, and nothing for a
web page that found a name for this address.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

TOKEN = "an admin token of the tests"
ADMIN = '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"'
PATHS = ["/healthz", "/readyz", "/api/held", "/api/routes", "/api/upstreams", "/api/limits"]
WRITES = ["/api/held/end", "/api/reload", "/api/drain"]
PAGES = ["example.com", "rebound.example.com:9090", "127.0.0.1.example.com", "localhost.example.com", "[::2]", "[::1"]


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose admin listener asks for TOKEN."""
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", TOKEN)
    return config(1).replace("[admin]", ADMIN)


async def test_everything_but_health_needs_the_token(tmp_path: Path, text: str) -> None:
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        asked = [[], ["Authorization: Bearer wrong"], [f"Authorization: Basic {TOKEN}"]]
        without = [[(await raw.ask(get(path, *fields))).status for path in PATHS] for fields in asked]
        given = [(await raw.ask(get(path, f"Authorization: Bearer {TOKEN}"))).status for path in PATHS]
        assert without == [[200, 200, 401, 401, 401, 401]] * 3
        assert given == [200] * 6
        refused = await raw.ask(get("/api/held", "Authorization: Bearer wrong"))
        assert refused.one("WWW-Authenticate") == 'Bearer realm="admin"'
        assert b"wrong" not in refused.body
        assert (await raw.ask(get("/nowhere"))).status == 401, "what there is, is nobody's business"


async def test_a_token_of_any_bytes_is_only_wrong(tmp_path: Path, text: str) -> None:
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        assert (await raw.ask(get("/api/held", "Authorization: Bearer \xff\xfe"))).status == 401


@pytest.mark.parametrize("host", PAGES)
async def test_a_page_with_a_name_of_its_own_for_this_address_gets_nothing(tmp_path: Path, host: str) -> None:
    """DNS rebinding: the browser sends the attacker's name."""
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for path in PATHS:
            found = await raw.ask(get(path, host=host))
            assert found.status in (400, 421)
            assert b"held" not in found.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9090", "127.0.0.1", "127.0.0.1:9090", "[::1]", "[::1]:80"])
async def test_a_loopback_name_is_served(tmp_path: Path, host: str) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        assert [(await raw.ask(get(path, host=host))).status for path in PATHS] == [200] * 6


async def test_what_is_held_is_listed_longest_first_and_counted(tmp_path: Path) -> None:
    more = SIGNED_IN + hold()
    async with HoldingUpstream() as up:
        text = config(up.port, more=more, routes=route("updates", policies=["signed-in", "poll"]))
        async with gateway(text, tmp_path) as gw, client(gw.admin_port) as admin:
            clients = []
            for number in range(5):
                clients.append(await connect(gw.port))
                await clients[-1].send(get(f"/{number}?secret=x", bearer(f"user-{number}")))
                await until(lambda count=number + 1: up.held == count)  # type: ignore[misc]
            found = await admin.ask(get("/api/held?limit=3"))
            assert found.one("Cache-Control") == "no-store"
            listed: dict[str, Any] = json.loads(bytes(found.body))
            assert listed["held"] == 5
            assert [call["path"] for call in listed["calls"]] == ["/0", "/1", "/2"]
            assert [call["consumer"] for call in listed["calls"]] == ["user-0", "user-1", "user-2"]
            assert [call["since"] for call in listed["calls"]] == sorted(
                (call["since"] for call in listed["calls"]), reverse=True
            )
            first = listed["calls"][0]
            assert (first["state"], first["poll"], first["route"], first["attempts"]) == ("parked", True, "updates", 1)
            assert (first["endpoint"], first["peer"]) == (f"127.0.0.1:{up.port}", "127.0.0.1")
            assert 0 < first["ends_in"] <= 11
            assert "secret" not in str(listed)
            for raw in clients:
                await raw.close()
            await until(lambda: up.live == 0)
            assert await gw.held() == []


async def test_the_compiled_routes_are_listed(tmp_path: Path) -> None:
    routes = route("updates", "/updates", ["cursor-updates"]) + route("rest", extra='response_timeout = "7s"')
    async with gateway(config(1, 2, routes=routes), tmp_path) as gw:
        status, body = await gw.admin("/api/routes")
    assert status == 200
    assert json.loads(body)["routes"] == [
        {"name": "updates", "path": "/updates", "upstream": "up", "endpoints": ["127.0.0.1:1", "127.0.0.1:2"],
         "dialect": "cursor-updates", "max_hold": 45, "no_news": "template", "response_timeout": 30},
        {"name": "rest", "path": "/**", "upstream": "up", "endpoints": ["127.0.0.1:1", "127.0.0.1:2"],
         "dialect": None, "max_hold": None, "no_news": None, "response_timeout": 7},
    ]  # fmt: skip


async def test_only_reading_is_served(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for path in PATHS:
            assert (await raw.ask(get(path, "Content-Length: 0", method="POST"))).status == 405


async def test_without_the_table_there_is_no_admin_listener(tmp_path: Path) -> None:
    text = config(1).replace('[admin]\nlisten = "127.0.0.1:0"\n', "")
    async with gateway(text, tmp_path) as gw:
        assert gw.app.admin_port is None


async def test_a_page_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        found = await raw.ask(get("/nowhere"))
        assert found.status == 404
        assert {*PATHS, *WRITES, "/metrics"} <= set(json.loads(bytes(found.body))["pages"])
        wrong = await raw.ask(get("/api/held", "Content-Length: 0", method="DELETE"))
        assert (wrong.status, wrong.one("Allow")) == (405, "GET, HEAD")


async def test_no_answer_tells_a_version(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for path in (*PATHS, "/nowhere"):
            assert "server" not in {name.lower() for name, _ in (await raw.ask(get(path))).headers}


async def test_health_counts_the_records_that_were_lost(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        assert json.loads((await gw.admin("/healthz"))[1]) == {"status": "ok", "log_lines_dropped": 0}

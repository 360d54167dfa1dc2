"""The dashboard's pages and files as anybody gets them, and its data as only those get it who may."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.admin import guard
from tests.kit.gateways import config, gateway
from tests.kit.raw import client, get, post

TOKEN = "an admin token of the tests"
DATA = ["/api/stream", "/api/plots"]
CROSS = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"]


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> str:
    """A configuration whose admin listener asks for TOKEN."""
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", TOKEN)
    return config(1).replace("[admin]\n", '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"\n')


async def test_pages_and_all_they_name_are_served_without_the_token_and_their_data_is_not(
    tmp_path: Path, text: str
) -> None:
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        for path in guard.PAGES:
            page = await raw.ask(get(path))
            assert (page.status, page.one("Content-Type")) == (200, "text/html; charset=utf-8")
            assert b'data-token="needed"' in bytes(page.body) and b"{" not in bytes(page.body)
            named = re.findall(rb'(?:src|href)="\.(/static/[^"]+)"', bytes(page.body))
            assert len(named) >= 4
            for file in named:
                found = await raw.ask(get(file.decode()))
                assert found.status == 200 and found.one("X-Content-Type-Options") == "nosniff"
        for path in DATA:
            assert (await raw.ask(get(path))).status == 401
        assert (await raw.ask(post(b"{}", "/api/draw", "Gateway-Admin: 1"))).status == 401


async def test_a_link_from_elsewhere_opens_a_page_and_nothing_more(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        assert (await raw.ask(get("/held", *CROSS))).status == 200
        for path in (*DATA, "/api/held", "/static/app.js"):
            assert (await raw.ask(get(path, *CROSS))).status == 403
        assert (await raw.ask(get("/", CROSS[0], "Sec-Fetch-Mode: no-cors"))).status == 403
        assert (await raw.ask(get("/", host="rebound.example.com"))).status == 421


async def test_behind_a_proxy_that_speaks_tls_polls_are_ended_and_plots_drawn_too(tmp_path: Path) -> None:
    text = config(1).replace("[admin]\n", '[admin]\nhosts = ["gateway.example.com"]\n')
    pages = {"https://gateway.example.com": 200, "https://gateway.example.com:8443": 403, "https://example.com": 403}
    async with gateway(text, tmp_path) as gw, client(gw.admin_port) as raw:
        for page, status in pages.items():
            for path, body in (("/api/held/end", b'{"all": true}'), ("/api/draw", b'{"figures": []}')):
                fields = ("Gateway-Admin: 1", f"Origin: {page}", f"Content-Length: {len(body)}")
                asked = get(path, *fields, method="POST", host="gateway.example.com") + body
                assert (await raw.ask(asked)).status == status


async def test_nothing_outside_of_the_folder_is_served(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for path in (
            "/static/../guard.py",
            "/static/%2e%2e/guard.py",
            "/static/",
            "/pages/layout.html",
            "/static//app.js",
        ):
            assert (await raw.ask(get(path))).status == 404


async def test_no_page_may_be_framed_run_what_is_written_into_it_or_ask_anybody_else(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        page = await raw.ask(get("/"))
        policy = dict(one.strip().split(" ", 1) for one in str(page.one("Content-Security-Policy")).split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["require-trusted-types-for"] == "'script'" and policy["trusted-types"] == "'none'"
        assert policy["form-action"] == "'none'" and policy["img-src"] == "'self'"
        assert (page.one("X-Frame-Options"), page.one("Referrer-Policy")) == ("DENY", "no-referrer")
        assert page.one("Cross-Origin-Resource-Policy") == "same-origin"
        body = bytes(page.body)
        assert not re.search(rb"<script>|style=| on[a-z]+=|https?://", body)


async def test_a_plot_of_what_is_no_numbers_is_refused_and_the_next_is_drawn(tmp_path: Path) -> None:
    good = (
        b'{"figures": [{"kind": "bars", "title": "<b>", "labels": ["&"], "series": [["<i>", [1]]], "unit": "count"}]}'
    )
    bad = [b'{"figures": 7}', b"{}", b'{"figures": [{"kind": "pie"}]}', good.replace(b"[1]", b'["1"]'),
           good.replace(b'"count"', b'"__class__"'), good.replace(b"[1]", b"[" + b"1," * 1000 + b"1]"),
           good.replace(b"[1]", b"[1e308, -1e308]").replace(b"bars", b"lines"),
           b'{"figures": ' + b"[" * 900 + b"]" * 900 + b"}"]  # fmt: skip
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        for question in bad:
            assert (await raw.ask(post(question, "/api/draw", "Gateway-Admin: 1"))).status == 400
        drawn = await raw.ask(post(good, "/api/draw", "Gateway-Admin: 1"))
        assert drawn.status == 200 and b"<svg" in bytes(drawn.body)
        assert b"<b>" not in bytes(drawn.body) and b"<i>" not in bytes(drawn.body)

"""Refusals in a protocol's own words, on real sockets: its clients do not read problem documents. Every refusal on a
route whose dialect words it is said so, of a poll or not, to a page of another origin and to a HEAD alike.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.limits import limit
from tests.kit.raw import client, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

WORDS = '\'{"ok":false,"error_code":{status},"description":"{detail}","parameters":{"retry_after":{retry_after}}}\''
OWN = {
    "refusals": "{ " + ", ".join(f"{status} = {{ body = {WORDS} }}" for status in (401, 405, 413, 429, 502, 504)) + " }"
}
APP = "https://app.example.com"
CORS = f'[policy.web.cors]\norigins = ["{APP}"]\nheaders = ["Authorization"]\n'
METHODS = 'methods = ["GET", "HEAD", "POST"]'
ROUTES = route("bot", "/bot", ["web", "signed-in", "limits", "poll"], METHODS)
TABLES = {"more": SIGNED_IN + CORS + limit("2/hour") + hold(when='["query:offset present"]', **OWN), "routes": ROUTES}


def wording(status: int, detail: str, retry_after: int = 1) -> dict[str, object]:
    parameters = {"retry_after": retry_after}
    return {"ok": False, "error_code": status, "description": detail, "parameters": parameters}


async def test_a_refusal_before_anybody_is_asked_is_worded(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **TABLES) as (gw, raw):
        found = await raw.ask(get("/bot?offset=1", f"Origin: {APP}"))
        assert found.status == 401
        assert json.loads(bytes(found.body)) == wording(401, json.loads(bytes(found.body))["description"])
        assert found.one("Content-Type") == "application/json"
        assert found.one("Cache-Control") == "no-store"
        assert found.one("WWW-Authenticate") is not None
        assert found.one("Access-Control-Allow-Origin") == APP
        assert (await gw.record())["outcome"] == "unauthenticated"
        assert up.requests == []


async def test_a_limit_says_when_to_come_back_in_the_head_and_in_the_body(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **TABLES) as (gw, raw):
        for _ in range(2):
            assert (await raw.ask(get("/bot", bearer()))).status == 200
        found = await raw.ask(get("/bot?offset=1", bearer()))
        assert found.status == 429
        told = json.loads(bytes(found.body))["parameters"]["retry_after"]
        assert found.one("Retry-After") == str(told) and told > 1
        assert (await gw.records(3))[2]["outcome"] == "rate_limited"


async def test_a_head_gets_the_head_of_the_same_words(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **TABLES) as (_, raw):
        whole = await raw.ask(get("/bot"))
        found = await raw.ask(get("/bot", method="HEAD"))
        assert (found.status, bytes(found.body)) == (401, b"")
        assert found.one("Content-Length") == whole.one("Content-Length") == str(len(whole.body))
        assert found.one("Content-Type") == "application/json"


async def test_a_method_that_is_not_served_is_told_which_are(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **TABLES) as (_, raw):
        found = await raw.ask(get("/bot", method="DELETE"))
        assert (found.status, json.loads(bytes(found.body))["error_code"]) == (405, 405)
        assert found.one("Allow") == "GET, HEAD, POST"
        found = await raw.ask(get("/bot", method="GET"))
        assert found.status == 401


async def test_a_body_too_large_is_worded_before_and_while_it_comes(tmp_path: Path) -> None:
    tables = TABLES | {"more": TABLES["more"] + '[policy.web.body_size]\nmax = "1KiB"\n'}
    sized = post(b"x" * 2000, "/bot", bearer())
    async with ScriptedUpstream(faults=True) as up, gateway(config(up.url, **tables), tmp_path) as gw:
        for request in (sized, post_chunked(b"x" * 2000, target="/bot", fields=[bearer()])):
            async with client(gw.port) as raw:
                found = await raw.ask(request)
                assert (found.status, json.loads(bytes(found.body))["error_code"]) == (413, 413)


@pytest.mark.parametrize(("script", "status"), [(End.RESET, 502), (None, 504)])
async def test_a_fault_of_the_upstream_is_worded(tmp_path: Path, script: End | None, status: int) -> None:
    poll = hold(absent='"200ms"', margin='"100ms"', empty='{ answer = "never" }', replay='"destructive"', **OWN)
    up: ScriptedUpstream = ScriptedUpstream((script,)) if script is not None else HoldingUpstream()
    async with up, stage(up, tmp_path, more=poll, routes=route(policies=["poll"])) as (gw, raw):
        found = await raw.ask(get())
        assert (found.status, json.loads(bytes(found.body))["error_code"]) == (status, status)
        assert (await gw.record())["status"] == status
        await until(lambda: up.live == 0)


async def test_a_status_of_the_dialects_own_stands_for_ours(tmp_path: Path) -> None:
    own = hold(refusals='{ 502 = { status = 200, headers = { Content-Type = "text/plain", Cache-Control = "private" }, '
                        'body = "c[{status},\\"{detail}\\"]\\n" } }')  # fmt: skip
    async with (
        ScriptedUpstream((End.RESET,), (answer(b"news"),), faults=True) as up,
        stage(up, tmp_path, more=own.replace('"cursor"', '"never"'), routes=route(policies=["poll"])) as (gw, raw),
    ):
        found = await raw.ask(get())
        assert found.status == 200
        assert bytes(found.body).startswith(b'c[502,"') and bytes(found.body).endswith(b'"]\n')
        assert (found.all("Content-Type"), found.all("Cache-Control")) == (["text/plain"], ["private"])
        record = await gw.record()
        assert (record["status"], record["outcome"]) == (200, "upstream_reset")


async def test_words_that_are_empty_are_an_answer_without_a_body(tmp_path: Path) -> None:
    own = hold(refusals="{ 405 = {} }")
    routes = route("r", "/r", ["poll"], 'methods = ["GET"]')
    async with ScriptedUpstream() as up, stage(up, tmp_path, more=own, routes=routes) as (_, raw):
        found = await raw.ask(get("/r", method="PUT"))
        assert (found.status, bytes(found.body), found.one("Content-Length")) == (405, b"", "0")
        assert found.one("Content-Type") is None
        assert found.one("Allow") == "GET, HEAD"
        problem = await raw.ask(get("/elsewhere"))
        assert problem.one("Content-Type") == "application/problem+json"


async def test_what_words_say_of_origins_gives_way_to_the_route(tmp_path: Path) -> None:
    """Two Allow-Origin fields are as bad as none. Without cors it is the dialect's to say."""
    fields = 'headers = { Access-Control-Allow-Origin = "*" }'
    words = hold(refusals=f"{{ 405 = {{ {fields} }} }}", absent='"200ms"', margin='"100ms"',
                 empty=f'{{ answer = "template", {fields}, body = "[]" }}')  # fmt: skip
    routes = route("r", "/r", ["web", "poll"], 'methods = ["GET"]') + route("plain", "/plain", ["poll"])
    async with HoldingUpstream() as up, stage(up, tmp_path, more=CORS + words, routes=routes) as (_, raw):
        for method in ("PUT", "GET"):
            found = await raw.ask(get("/r", f"Origin: {APP}", method=method))
            assert found.all("Access-Control-Allow-Origin") == [APP]
        assert (await raw.ask(get("/plain"))).all("Access-Control-Allow-Origin") == ["*"]
        await until(lambda: up.live == 0)

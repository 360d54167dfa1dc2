"""Nothing a client sends forges a line of the call log or shows in it what may not be there: of a start or of an end,
in a file or at a collector.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateways import (
    SIGNED_IN,
    bearer,
    config,
    gateway,
    hold,
    route,
    to_collector,
)
from tests.kit.gateways import token as make_token
from tests.kit.otlp import attributes, collector
from tests.kit.raw import client, get
from tests.kit.schema import wrongs
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # a log knows no transport
START = "start_of_hold = true"
POLLS = route(policies=["poll"])
UNTOLD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


RAW = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\x1b[2J",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b'"},{"v":1',
    b"\0",
]


def forged(wild: bytes) -> Iterator[bytes]:
    """The same bytes in every place of a request, raw and escaped."""
    escaped = "".join(f"%{byte:02x}" for byte in wild).encode()
    for text in (wild, escaped):
        yield b"GET /a" + text + b"b HTTP/1.1\r\nHost: h\r\n\r\n"
        yield b"GET /?since=" + text + b"&" + text + b"=1 HTTP/1.1\r\nHost: h\r\n\r\n"
        yield b"GET / HTTP/1.1\r\nHost: h\r\nUser-Agent: " + text + b"\r\nX-Since: a" + text + b"\r\n\r\n"
    yield b"G" + wild + b"T / HTTP/1.1\r\nHost: h\r\n\r\n"
    yield b"GET / HTTP/1.1\r\nHost: h" + wild + b"\r\n\r\n"


@pytest.mark.parametrize("wild", RAW, ids=repr)
async def test_nothing_a_client_sends_forges_a_line_at_any_place(tmp_path: Path, wild: bytes) -> None:
    """Of a start and of an end, in a file and at a collector: one line of valid JSON, and nothing untold in it."""
    more = hold(cursor='{ request = ["query:since", "header:X-Since"] }')
    with collector() as found:
        async with ScriptedUpstream() as up:
            text = config(up.port, more=more, routes=POLLS, log=f'{START}\nquery_values = ["since"]')
            async with gateway(to_collector(text, found.url, beside=True), tmp_path) as gw:
                for request in forged(wild):
                    async with client(gw.port) as raw:
                        await raw.send(request)
                        raw.half_close()
                        await raw.read_all()
                async with client(gw.port) as raw:
                    await raw.ask(get("/last"))
                await until(
                    lambda: b'"/last"' in gw.log.read_bytes() and len(found.logs) == gw.log.read_bytes().count(b"\n")
                )
                text = gw.log.read_bytes().decode("utf-8")
    whole = text.split("\n")[:-1]
    assert len(whole) == len(text.splitlines()) and not [each for each in whole if UNTOLD.search(each)]
    assert [wrong for each in whole for wrong in wrongs(json.loads(each))] == []
    sent = [value for made in found.logs for value in (made.body.string_value, *map(str, attributes(made).values()))]
    assert not [value for value in sent if UNTOLD.search(value)]


@pytest.mark.parametrize("claims", [{"sub": "x" * 1_000_000}, {"more": "x" * 1_000_000}, {"tenant": "x" * 1_000_000}])
async def test_a_megabyte_of_claims_is_one_short_line(tmp_path: Path, claims: dict[str, str]) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, server='max_head = "4MiB"', more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get("/", f"Authorization: Bearer {make_token(claims.pop('sub', 'alice'), **claims)}"))
            answered = await raw.read_answer()
            assert (await gw.record())["status"] == answered.status
            assert gw.log.stat().st_size < 4096


async def test_a_name_that_is_no_text_for_a_log_is_nobody(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            for name in ("a\r\nb", "a\x1b[2J", "a\u2028b", "a\x00"):
                assert (await raw.ask(get("/", bearer(name)))).status == 401
            assert {record["outcome"] for record in await gw.records(4)} == {"unauthenticated"}
            assert gw.log.read_bytes().count(b"\n") == 4


async def test_a_method_of_any_length_is_cut(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get(method="A" * 4000))
        await raw.read_answer()
        assert len((await gw.record())["method"]) <= 32


async def test_no_token_is_in_any_line_of_any_place(tmp_path: Path) -> None:
    """Starts and ends, in the live file, in Parquet and at a collector."""
    more = SIGNED_IN.replace("[policy.", 'from = ["header:Authorization", "query:t", "path:key"]\n[policy.') + hold()
    routes = route("path", "/bot/{key}/x", ["signed-in", "poll"]) + route("rest", "/rest", ["signed-in", "poll"])
    secret = make_token()
    with collector() as found:
        async with ScriptedUpstream() as up:
            text = config(up.port, more=more, routes=routes, log=f'{START}\nquery_values = ["t"]')
            async with gateway(to_collector(text, found.url, beside=True), tmp_path) as gw, client(gw.port) as raw:
                for target in (f"/bot/{secret}/x", f"/rest?t={secret}", f"/bot/{secret}/typo"):
                    await raw.ask(get(target))
                await raw.ask(get("/rest", f"Authorization: Bearer {secret}"))
                await gw.records(7)
                await until(lambda: len(found.logs) == 7)
    shown = gw.log.read_bytes() + found.raw
    assert b"/bot/***/x" in shown
    for part in secret.split(".")[1:]:
        assert part.encode() not in shown


@pytest.mark.parametrize(("how", "shown"), [("full", "127.0.0.1"), ("network", "127.0.0.0/24"), ("none", None)])
async def test_of_an_address_only_so_much_is_logged_as_may_be(tmp_path: Path, how: str, shown: str | None) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=hold(), routes=POLLS, log=f'{START}\npeer = "{how}"')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.ask(get())
            assert [record["peer"] for record in await gw.records(2)] == [shown] * 2


@pytest.mark.parametrize("cursor", [True, False])
async def test_cursors_may_be_kept_out(tmp_path: Path, cursor: bool) -> None:
    more = hold(cursor='{ request = "query:since" }')
    async with ScriptedUpstream() as up:
        text = config(up.port, more=more, routes=POLLS, log=f"cursor = {str(cursor).lower()}")
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.ask(get("/?since=s3cr3t"))
            record = await gw.record()
    assert record.get("cursor") == ("s3cr3t" if cursor else None) and ("s3cr3t" in str(record)) is cursor

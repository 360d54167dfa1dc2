"""What a dialect calls secret, on real sockets: in every place and spelling, in requests that are served, refused,
malformed or meant for nobody, it is in no record, no line of a hold that begins, no answer of ours, no list, metric or
log line.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from urllib.parse import quote, unquote

import pytest

from tests.kit.gateways import InProcess, hold, route
from tests.kit.raw import client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream

SECRET = "123456:AAq-SeKrEt_tOkEn"
SPELLED = [SECRET, quote(SECRET, safe=""), "".join(f"%{ord(char):02x}" for char in SECRET), SECRET.upper()]
PAGES = ("/api/held", "/metrics", "/api/calls", "/api/routes", "/api/upstreams", f"/api/held?path=/bot{SECRET}", "/")
FORM, JSON = "Content-Type: application/x-www-form-urlencoded", "Content-Type: application/json"
BOT: dict[str, object] = {
    "key": '"path:token"',
    "secret": '["path:token", "query:sig", "header:X-Sec", "cookie:sid"]',
    "cursor": '{ request = ["query:sig", "query:at"] }',
}
FILLED: dict[str, object] = {
    "when": '[{ any = ["form:op == poll", "json:/op == poll"] }]',
    "ask": '[{ in = "form", name = "ms", unit = "ms" }, { in = "json", name = "/ms", unit = "ms" }]',
    "key": '"form:pw"',
    "concurrency": '"oldest-wins"',
    "secret": '["form:pw", "json:/pw", "query:pw"]',
    "cursor": '{ request = ["json:/pw", "form:pw"] }',
}


def requests(secret: str) -> list[bytes]:
    bot = f"/bot{secret}/getUpdates"
    typos = f"/BOT{secret}/getUpdates /bot{secret}/getupdates {bot}/ /{bot} /.{bot} /v1/..{bot} /bot{secret} /v1{bot}"
    deep = f"/deep/{secret}/x/{secret} /deep/{secret}/x/-{secret}- /deep/{secret}/y /%62ot{secret}/getUpdates"
    queries = f"?sig={secret}&at=7 ?%73ig={secret} ?at={secret}&{secret}=1 #x ?at=\x01"
    text, form = json.dumps({"op": "poll", "pw": secret}).encode(), f"op=poll&pw={secret}".encode()
    return [
        *map(get, f"{typos} {deep} /in?pw={secret}".split()),
        *(get(bot + query) for query in queries.split()),
        *(get(bot, method=method) for method in ("POST", "DELETE", "TRACE", "BREW")),
        *(get(bot, bad) for bad in ("Content-Length: x", "Transfer-Encoding: gzip", "A b: c")),
        get(bot, f"X-Sec: {secret}", f"Cookie: sid={secret}", f"Referer: http://h{bot}"),
        get(bot, version="3.0"), get(bot, host=None),
        *(post(each, "/in", FORM) for each in (form, form + f"&ms={secret}".encode(), form[:-3])),
        *(post(each, "/in", JSON) for each in (text, text[:-1], b"[" * 9000 + text)),
        post(text, "/in", JSON, "Content-Encoding: gzip"), post(form, "/nowhere", FORM),
    ]  # fmt: skip


async def of(port: int, request: bytes) -> bytes:
    """Everything that is said to one request, whose connection is not used again."""
    async with client(port) as raw:
        await raw.send(request)
        return await raw.reader.read(65536)


def shows(seen: bytes | str) -> bool:
    text = seen.decode("utf-8", "replace") if isinstance(seen, bytes) else seen
    return "sekret" in text.lower() or "sekret" in unquote(text).lower()


async def pages(gw: InProcess) -> bytes:
    return b"".join([(await gw.admin(path))[1] for path in PAGES])


@pytest.mark.parametrize("secret", SPELLED)
async def test_a_secret_of_a_dialect_is_shown_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    caplog.set_level(logging.DEBUG)
    policies = hold("bot", **BOT) + hold("filled", **FILLED)
    routes = route("bot", "/bot{token}/getUpdates", ["bot"], match='methods = ["GET", "POST"]')
    routes += route("deep", "/deep/{token}/x/{other}", ["bot"]) + route("in", "/in", ["filled"])
    log = 'start_of_hold = true\nlevel = "debug"\nquery_values = ["sig", "at", "pw"]'
    async with HoldingUpstream() as up, stage(up, tmp_path, more=policies, routes=routes, log=log) as (gw, _):
        asked = [asyncio.create_task(of(gw.port, request)) for request in requests(secret)]
        while len(asked) > sum(each.done() for each in asked) + up.held:
            await asyncio.sleep(0.01)
        seen = await pages(gw)
        assert b'"state":"parked"' in seen and b'"kind":"start"' in gw.log.read_bytes()
        assert up.publish() > 8
        seen += b"".join(await asyncio.gather(*asked)) + await pages(gw)
        await gw.records(len(asked))
    assert sum(SECRET.lower() in unquote(str(each.target)).lower() for each in up.requests) > 8
    lines = [*gw.log.read_text().splitlines(), *caplog.text.splitlines(), *seen.decode("utf-8", "replace").split("\n")]
    assert [line[:300] for line in lines if shows(line)] == []

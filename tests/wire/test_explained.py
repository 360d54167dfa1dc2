"""What `gateway explain` tells beforehand is what the running gateway does: the same requests once explained and once
sent on real sockets, compared by what the client, the upstream and the record saw.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest

from gateway.config import read_config
from gateway.explain.gather import explain
from gateway.explain.model import Explanation
from gateway.explain.request import Described, describe
from tests.kit.gateways import SECRET, SIGNED_IN, InProcess, Record, hold, route
from tests.kit.raw import RawClient
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

JSON, FORM = ("Content-Type", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")
XML = ("Content-Type", "text/xml")
BOT: dict[str, object] = {
    "ask": """[{ in = "query", name = "timeout", unit = "s" }, { in = "form", name = "timeout", unit = "s" }]""",
    "absent": '"none"',
    "cursor": '{ request = ["query:offset", "form:offset"] }',
    "secret": '["path:token", "query:sig"]',
    "refusals": """{ "401" = { body = '{"ok":false,"description":"{detail}"}' } }""",
}
TREE: dict[str, object] = {
    "when": '["json:/op == poll"]',
    "ask": '[{ in = "json", name = "/wait/0/ms", unit = "ms" }]',
    "over_max": '"reject"',
    "unbounded": '["json:/live == true"]',
    "signed": '["json:/sig present"]',
    "early_headers": "true",
    "body_limit": '"1KiB"',
}
TABLES = SIGNED_IN + hold("bot", **BOT) + hold("tree", **TREE)
ROUTES = (
    route("bot", "/bot{token}/getUpdates", ["bot"], extra='rewrite = "/{token}/updates"')
    + route("tree", "/tree", ["tree"])
    + route("signed", "/signed", ["signed-in", "bot"])
    + route("io", "/socket.io/", ["engineio"])
    + route("connect", "/bayeux", ["bayeux"])
    + route("bosh", "/bosh", ["bosh"])
)
POLL = "/bot1:abcdefg/getUpdates"
Case = tuple[str, str, tuple[tuple[str, str], ...], str | None]
CASES: list[Case] = [
    ("GET", f"{POLL}?timeout=90&offset=7&x=%20", (), None),
    ("GET", f"{POLL.replace('a', '%61')}?timeout=5",
     (("Connection", "X-A"), ("X-A", "1"), ("Gateway-Hold", "9")), None),
    ("GET", f"{POLL}?timeout=NaN", (), None),
    ("GET", f"{POLL}?timeout=-1&timeout=5", (), None),
    ("HEAD", f"{POLL}?timeout=5", (), None),
    ("GET", f"{POLL}?timeout=15", (("Signature-Input", "sig1=()"),), None),
    ("POST", POLL, (FORM,), "timeout=90&offset=3"),
    ("POST", f"{POLL}?timeout=7", (FORM,), "timeout=90"),
    ("POST", POLL, (FORM,), "timeout=1e9"),
    ("POST", "/tree", (JSON,), '{"op":"poll","wait":[{"ms":19999}]}'),
    ("POST", "/tree", (JSON,), '{"op":"poll","wait":[{"ms":99999}]}'),
    ("POST", "/tree", (JSON,), '{"op":"poll","wait":[{"ms":5}],"live":true}'),
    ("POST", "/tree", (JSON,), '{"op":"poll","wait":[{"ms":5}],"sig":"x"}'),
    ("POST", "/tree", (JSON,), '{"op":"poll","wait":[{"ms":50}]'),
    ("POST", "/tree", (JSON,), '{"op":"poll","pad":"' + "x" * 1024 + '"}'),
    ("POST", "/tree", (JSON, ("Content-Encoding", "gzip")), '{"op":"poll"}'),
    ("GET", "/tree", (), None),
    ("GET", "/socket.io/?EIO=4&transport=polling&sid=s-1", (), None),
    ("GET", "/socket.io/?EIO=4&transport=polling", (), None),
    ("POST", "/bayeux", (JSON,), '[{"channel":"/meta/connect","clientId":"c","advice":{"timeout":90000}}]'),
    ("POST", "/bayeux", (JSON,), '[{"channel":"/meta/handshake"}]'),
    ("POST", "/bosh", (XML,), "<body rid='2' sid='s'/>"),
    ("POST", "/bosh", (XML,), "<!DOCTYPE x [<!ENTITY a 'b'>]><body rid='2' sid='&a;'/>"),
    ("GET", "/signed?timeout=5", (), None),
    ("GET", "/bot/getUpdates", (), None),
]  # fmt: skip


pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])  # what is explained is the same on every loop


def described(case: Case) -> Described:
    method, target, fields, body = case
    return describe(method, target, (*fields, ("Host", "localhost")), body.encode() if body is not None else None)


async def sent(gw: InProcess, up: HoldingUpstream, raw: RawClient, case: Case) -> tuple[Record, Record, str, str]:
    """The call as it is held and as it was recorded, and the head and body that the upstream got."""
    await raw.send(described(case).raw("localhost"))
    await until(lambda: up.held == 1)
    (held,) = await gw.held()
    await raw.close()
    head, _, body = bytes(up.peers[-1].received).decode().partition("\r\n\r\n")
    return held, await gw.record(), head, body


def plain(line: str) -> str:
    """A line of a request as an explanation shows it: no ids of its own, no secret, a wait of whole seconds."""
    line = re.sub(r"[0-9a-f]{32}", "<call id>", line).replace("1:abcdefg", "***").replace("sid=s-1", "sid=***")
    line = re.sub(r"-[0-9a-f]{16}-0\d$", "-<span id>-<flags>", line)
    return re.sub(r"^Gateway-Hold: (.*)$", lambda each: f"Gateway-Hold: {float(each[1]):.1f}", line)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1][:40]} {(case[3] or '')[:40]}")
async def test_what_is_explained_is_what_happens(tmp_path: Path, case: Case) -> None:
    text = {"more": TABLES, "routes": ROUTES, "server": 'drain = "60s"\nstop_grace = "90s"'}
    async with HoldingUpstream() as up, stage(up, tmp_path, **text) as (gw, raw):
        environ = {"GATEWAY_TEST_SECRET": SECRET}
        config = read_config(tmp_path / "gateway.toml")[0]
        story = await asyncio.to_thread(explain, config, described(case), time.time(), environ=environ)
        if story.verdict.result == "refused":
            await is_refused(gw, raw, case, story)
        else:
            is_story(story, *await sent(gw, up, raw, case))


def is_story(story: Explanation, held: Record, record: Record, head: str, body: str) -> None:
    assert story.forwarded is not None and story.hold is not None
    assert sorted(map(plain, head.split("\r\n"))) == sorted(map(plain, story.forwarded.lines))
    assert story.forwarded.body == (None if not body or "gzip" in head else body)
    assert story.forwarded.body_bytes == len(body)
    assert story.verdict.result == ("held" if held["poll"] else "forwarded")
    assert story.hold.held == held["poll"] == ("dialect" in record)
    assert story.hold.note == record.get("note")
    if held["poll"]:
        seen = (record["hold_asked"], record["hold_granted"], record["clamped_by"], record.get("cursor"))
        assert (story.hold.asked, story.hold.granted, story.hold.clamped_by, story.hold.cursor) == seen
        assert held["ends_in"] == pytest.approx(story.hold.deadline, abs=5.0)


async def is_refused(gw: InProcess, raw: RawClient, case: Case, story: Explanation) -> None:
    found, answer = await raw.ask(described(case).raw("localhost"), case[0]), story.verdict.answer
    assert answer is not None and answer.status == found.status
    assert story.verdict.outcome == (await gw.record())["outcome"]
    assert answer.body == plain(bytes(found.body).decode())

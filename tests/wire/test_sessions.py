"""Protocols that agree on a hold once per session: the gateway reads it as the handshake's answer passes, and every
poll of that session is held so, also after a reload, and also when the answer came in pieces.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import InProcess, hold, route
from tests.kit.raw import RawClient, client, get, post
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, Step, answer, chunked

BY_QUERY: dict[str, object] = {
    "when": '["query:sid present"]',
    "ask": '[{ in = "session", name = "json:/pingInterval", unit = "ms" }]',
    "session": '{ key = "query:sid", when = ["query:sid absent"], id = "json:/sid", skip = "^[0-9]+" }',
    "absent": '"11s"',
    "max": '"60s"',
    "over_max": '"pass"',
    "empty": '{ answer = "never" }',
    "replay": '"never"',
}
HANDSHAKE = b'0{"sid":"s1","upgrades":[],"pingInterval":25000,"pingTimeout":20000}'
DEFAULT, AGREED = 11.0, 25.0


def tables(**values: object) -> dict[str, Any]:
    return {"more": hold(**BY_QUERY | values), "routes": route(policies=["poll"])}


async def granted(gw: InProcess, request: bytes, count: int = 1) -> float:
    """The hold that a poll gets, which then leaves."""
    async with client(gw.port) as raw:
        await raw.send(request)
        call = await until_held(gw)
        await raw.close()
        await gw.records(count)
        record = (await gw.records(count))[-1]
        assert record["hold_granted"] == call["hold_granted"] and record["hold_asked"] in (record["hold_granted"], None)
        return float(record["hold_granted"])


async def until_held(gw: InProcess) -> dict[str, Any]:
    """The only call that is held, once it is."""
    while not (calls := await gw.held()):
        await asyncio.sleep(0.01)
    return calls[0]


def answering(*begins: bytes) -> ScriptedUpstream:
    """A service that answers handshakes in turn, and holds everything else."""
    holding = HoldingUpstream()
    left: Iterator[bytes] = iter(begins)
    normal = holding.then
    assert callable(normal)
    holding.then = lambda request: (next(left),) if b"sid=" not in request.target.encode() else normal(request)
    return holding


async def begin(raw: RawClient, target: str = "/io/?transport=polling") -> Message:
    found = await raw.ask(get(target))
    assert found.status == 200
    return found


IN_PIECES = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(HANDSHAKE[:9], HANDSHAKE[9:])


@pytest.mark.parametrize("begun", [answer(HANDSHAKE), IN_PIECES])
async def test_polls_of_a_session_are_held_as_its_handshake_said(tmp_path: Path, begun: bytes) -> None:
    async with answering(begun) as up, stage(up, tmp_path, **tables()) as (gw, raw):
        assert await granted(gw, get("/io/?sid=s1")) == DEFAULT
        assert bytes((await begin(raw)).body) == HANDSHAKE
        assert await granted(gw, get("/io/?sid=s1"), 3) == AGREED
        assert await granted(gw, get("/io/?sid=s2"), 4) == DEFAULT
        assert (await gw.records(4))[1]["outcome"] == "answered"


async def test_an_answer_that_ends_with_its_connection_teaches_too(tmp_path: Path) -> None:
    script: list[Step] = [b"HTTP/1.1 200 OK\r\n\r\n", HANDSHAKE, End.CLOSE]
    holding = HoldingUpstream()
    holding.scripts = [script]
    async with holding as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await begin(raw)
        assert await granted(gw, get("/io/?sid=s1"), 2) == AGREED


@pytest.mark.parametrize(
    "said",
    [
        answer(HANDSHAKE.replace(b"25000", b"-25000")),
        answer(HANDSHAKE.replace(b"25000", b"1e400")),
        answer(HANDSHAKE.replace(b"25000", b"NaN")),
        answer(HANDSHAKE.replace(b"25000", b"99999999999999")),
        answer(HANDSHAKE.replace(b"25000", b'"soon"')),
        answer(HANDSHAKE.replace(b"25000", b'{"a":1}')),
        answer(HANDSHAKE[:-1]),
        answer(HANDSHAKE + b" " * 5000),
        answer(b"[" * 4000),
        answer(b""),
        answer(gzip.compress(HANDSHAKE, mtime=0), "200 OK", "Content-Encoding: gzip"),
        answer(HANDSHAKE, "200 OK", "Content-Encoding: gzip"),
    ],
)
async def test_a_handshake_that_cannot_be_believed_teaches_nothing(tmp_path: Path, said: bytes) -> None:
    async with answering(said) as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await begin(raw)
        assert await granted(gw, get("/io/?sid=s1"), 2) == DEFAULT


async def test_a_handshake_that_was_cut_teaches_nothing(tmp_path: Path) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(HANDSHAKE) + 1}\r\n\r\n".encode()
    cut: list[Step] = [head + HANDSHAKE, End.CLOSE]
    holding = HoldingUpstream()
    holding.scripts = [cut]
    async with holding as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await raw.send(get("/io/"))
        await gw.records(1)
        assert await granted(gw, get("/io/?sid=s1"), 2) == DEFAULT


async def test_what_a_session_agreed_is_a_wish_like_any_other(tmp_path: Path) -> None:
    long = answer(HANDSHAKE.replace(b"25000", b"80000000"))
    async with answering(long) as up, stage(up, tmp_path, **tables(over_max='"reject"')) as (gw, raw):
        await begin(raw)
        assert (await raw.ask(get("/io/?sid=s1"))).status == 400
        assert await granted(gw, get("/io/?sid=s2"), 3) == DEFAULT


async def test_a_reload_keeps_what_was_agreed(tmp_path: Path) -> None:
    async with answering(answer(HANDSHAKE)) as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await begin(raw)
        file = tmp_path / "gateway.toml"
        file.write_text(file.read_text().replace('"11s"', '"12s"'))
        assert await gw.app.reload() == []
        assert await granted(gw, get("/io/?sid=s1"), 2) == AGREED
        assert await granted(gw, get("/io/?sid=s2"), 3) == 12.0


async def test_a_session_is_forgotten_after_its_time(tmp_path: Path) -> None:
    session = str(BY_QUERY["session"]).replace(" }", ', keep = "200ms" }')
    async with answering(answer(HANDSHAKE)) as up, stage(up, tmp_path, **tables(session=session)) as (gw, raw):
        await begin(raw)
        await asyncio.sleep(0.25)
        assert await granted(gw, get("/io/?sid=s1"), 2) == DEFAULT


async def test_two_upstreams_do_not_share_sessions(tmp_path: Path) -> None:
    async with answering(answer(HANDSHAKE)) as up, HoldingUpstream() as other:
        more = hold(**BY_QUERY) + f'[upstream.other]\nendpoints = ["{other.url}"]\n'
        routes = route("a", "/a", ["poll"]) + route("b", "/b", ["poll"]).replace('"up"', '"other"')
        async with stage(up, tmp_path, more=more, routes=routes) as (gw, raw):
            await begin(raw, "/a")
            assert await granted(gw, get("/b?sid=s1"), 2) == DEFAULT
            assert await granted(gw, get("/a?sid=s1"), 3) == AGREED


JSON_KEYED: dict[str, object] = {
    "when": '["json:/0/channel == /meta/connect"]',
    "ask": """[{ in = "json", name = "/0/timeout", unit = "ms" },
               { in = "session", name = "json:/0/advice/timeout", unit = "ms" }]""",
    "session": '{ key = "json:/0/clientId", when = ["json:/0/channel == /meta/handshake"], id = "json:/0/clientId" }',
}
XML_KEYED: dict[str, object] = {
    "when": '["xml:@sid present"]',
    "ask": '[{ in = "session", name = "xml:@wait", unit = "s" }]',
    "session": '{ key = "xml:@sid", when = ["xml:@sid absent"], id = "xml:@sid" }',
}


def as_json(channel: str, **more: object) -> bytes:
    return post(json.dumps([{"channel": channel, **more}]).encode(), "/m", "Content-Type: application/json")


def as_xml(text: bytes) -> bytes:
    return post(text, "/m", "Content-Type: text/xml; charset=utf-8")


@pytest.mark.parametrize(
    ("dialect", "handshake", "said", "poll"),
    [
        (JSON_KEYED, as_json("/meta/handshake"), b'[{"clientId":"c1","advice":{"timeout":25000}}]',
         as_json("/meta/connect", clientId="c1")),
        (XML_KEYED, as_xml(b"<body rid='1' wait='60'/>"), b"<body sid='c1' wait='25'/>",
         as_xml(b"<body rid='2' sid='c1'/>")),
    ],
)  # fmt: skip
async def test_sessions_that_bodies_name(
    tmp_path: Path, dialect: dict[str, object], handshake: bytes, said: bytes, poll: bytes
) -> None:
    kind = "application/json" if said.startswith(b"[") else "text/xml"
    holding = HoldingUpstream()
    holding.scripts = [(answer(said, "200 OK", f"Content-Type: {kind}"),)]
    async with holding as up, stage(up, tmp_path, **tables(**dialect)) as (gw, raw):
        assert bytes((await raw.ask(handshake)).body) == said
        assert await granted(gw, poll, 2) == AGREED
        assert await granted(gw, poll.replace(b"c1", b"c2"), 3) == DEFAULT

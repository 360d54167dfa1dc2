"""Dialects that look into a body: it is read to its end once the caller is known, decides what the call is, and goes
out as it came or with the granted wait in it. What cannot be looked into passes through as it comes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import Running, config, gateway, hold, route
from tests.kit.raw import RawClient, client, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer, chunked
from tests.kit.waiting import until

JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
LIMIT = 256


def asks(policies: tuple[str, ...] = ("poll",), more: str = "", **values: object) -> dict[str, str]:
    """A POST with a position in its JSON is a poll, and says there for how long."""
    table: dict[str, object] = {
        "when": '["method == POST", "json:/since present"]',
        "ask": '[{ in = "json", name = "/timeout" }]',
        "rewrite": "true",
        "body_limit": f'"{LIMIT}B"',
        "empty": '{ answer = "template", headers = { Content-Type = "application/json" }, '
        """body = '{"since":"{json:/since}"}', needs = ["json:/since present"] }""",
    }
    return {"more": hold(**(table | values)) + more, "routes": route(policies=policies)}


def text(**document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def in_chunks(body: bytes, *fields: str) -> bytes:
    head = get("/", "Transfer-Encoding: chunked", JSON, *fields, method="POST")
    return head + chunked(*(body[at : at + 5] for at in range(0, len(body), 5)))


@pytest.mark.parametrize("framed", [lambda body: post(body, "/", JSON), in_chunks], ids=["length", "chunked"])
async def test_a_poll_that_asks_in_its_body_is_held_as_it_asked(tmp_path: Path, framed: Any) -> None:
    body = text(since=7, timeout=12)
    async with HoldingUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        await raw.send(framed(body))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert (held["poll"], held["hold_asked"], held["hold_granted"]) == (True, 12, 12)
        assert bytes(up.requests[0].body) == body
        assert up.requests[0].all("Content-Length") == [str(len(body))]
        assert up.requests[0].one("Transfer-Encoding") is None
        up.publish()
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        record = await gw.record()
        assert (record["outcome"], record["bytes_in"]) == ("news", len(body))


async def test_the_granted_wait_is_written_into_the_body_and_its_length_is_right(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (_, raw):
        for asked, sent in ((5, 5), (900, 20), ("900", "20")):
            assert (await raw.ask(post(text(a=[1, 2.5], timeout=asked, since="é"), "/", JSON))).status == 200
            got = up.requests[-1]
            assert json.loads(bytes(got.body)) == {"a": [1, 2.5], "timeout": sent, "since": "é"}
            assert got.one("Content-Length") == str(len(got.body))


async def test_no_news_is_said_with_what_the_body_held(tmp_path: Path) -> None:
    values = {"margin": '"100ms"', "ask": '[{ in = "json", name = "/timeout", unit = "ms" }]'}
    async with HoldingUpstream() as up, stage(up, tmp_path, **asks(**values)) as (gw, raw):
        found = await raw.ask(post(text(since='"7', timeout=100), "/", JSON))
        assert (found.status, json.loads(bytes(found.body))) == (200, {"since": '"7'})
        assert (await gw.record())["outcome"] == "overrun"


async def test_a_body_may_come_in_any_pieces(tmp_path: Path) -> None:
    body = text(since=7, timeout=3)
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        for framed in (post(body, "/", JSON), in_chunks(body)):
            await raw.send_bytewise(framed)
            assert (await raw.read_answer()).status == 200
            assert bytes(up.requests[-1].body) == body
        assert [record["hold_asked"] for record in await gw.records(2)] == [3, 3]


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, LIMIT + 1, LIMIT * 5])
@pytest.mark.parametrize("framed", [lambda body: post(body, "/", JSON), in_chunks], ids=["length", "chunked"])
async def test_a_longer_body_than_is_looked_into_passes_through_and_is_noted(
    tmp_path: Path, framed: Any, size: int
) -> None:
    body = text(since=7, timeout=3, x="")
    body = body[:-2] + b"x" * (size - len(body)) + body[-2:]
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        assert (await raw.ask(framed(body) + get("/next"))).status == 200
        assert bytes(up.requests[0].body) == body
        assert (await raw.read_answer()).status == 200, "what follows is read as what it is"
        record = (await gw.records(2))[0]
        read = size <= LIMIT
        assert (record["outcome"], record.get("note")) == (("news", None) if read else ("answered", "body_not_read"))
        assert record["bytes_in"] == size


async def test_a_chunked_body_as_long_as_is_looked_into_is_waited_for_to_its_end(tmp_path: Path) -> None:
    body = text(since=7, timeout=3, x="x" * (LIMIT - len(text(since=7, timeout=3, x=""))))
    assert len(body) == LIMIT
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        head = get("/", "Transfer-Encoding: chunked", JSON, method="POST")
        await raw.send(head + chunked(body, end=False))
        await waits(gw)
        assert up.requests == []
        assert (await raw.ask(b"0\r\n\r\n", "POST")).status == 200
        assert bytes(up.requests[0].body) == body
        assert (await gw.record())["outcome"] == "news"


async def test_a_client_is_told_once_to_go_on_also_when_its_body_turns_out_too_long(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (_, raw):
        await raw.send(get("/", JSON, "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST"))
        await raw.send(chunked(b"x" * (LIMIT + 1), end=False))
        await until(lambda: up.held == 1 or bool(up.requests))
        found = await raw.ask(b"0\r\n\r\n", "POST")
        assert (found.status, [each.status for each in found.interim]) == (200, [100])


async def test_nothing_of_a_refused_body_goes_with_the_next_request(tmp_path: Path) -> None:
    """It was read, found too long and refused for another reason; the connection stays."""
    once = '[[policy.once.concurrency_cap]]\nmax = 1\nper = "route"\n'
    tables = asks(("poll", "once"), once)
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw), client(gw.port) as first:
        await first.send(post(b"held", "/", "Content-Type: text/csv"))
        await until(lambda: up.held == 1)
        assert (await raw.ask(in_chunks(b"x" * (LIMIT + 1)))).status == 429
        up.publish()
        assert (await first.read_answer()).status == 200
        await raw.send(get("/", "Transfer-Encoding: chunked", method="PUT") + chunked(b"next"))
        await until(lambda: up.held == 1)
        assert bytes(up.requests[-1].body) == b"next"
        up.publish()
        assert (await raw.read_answer()).status == 200


ODD = [
    (b"{", JSON, "malformed_body"),
    (b'{"since":1}' + b"[" * 200, JSON, "malformed_body"),
    (b"[" * 200, JSON, "malformed_body"),
    (b"\xff\xfe", JSON, "malformed_body"),
    (b"since=1&timeout=3", FORM, None),  # it claims to be something else
    (gzip.compress(text(since=7, timeout=3), mtime=0), f"{JSON}\r\nContent-Encoding: gzip", "body_not_read"),
    (b'{"timeout":3}', JSON, None),
    (b"null", JSON, None),
]


@pytest.mark.parametrize(("body", "fields", "note"), ODD)
async def test_what_is_no_poll_is_an_ordinary_call_that_arrives_unchanged(
    tmp_path: Path, body: bytes, fields: str, note: str | None
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        assert (await raw.ask(post(body, "/", fields))).status == 200
        assert bytes(up.requests[0].body) == body
        record = await gw.record()
        assert (record["outcome"], record.get("note")) == ("answered", note)


async def waits(gw: Running) -> None:
    """Until the call waits for its body."""
    while [call["state"] for call in await gw.held()] != ["waiting"]:
        await asyncio.sleep(0.01)


async def begun(raw: RawClient, up: ScriptedUpstream, body: bytes, *fields: str) -> None:
    """The head and half of a body."""
    whole = post(body, "/", *fields)
    await raw.send(whole[: -len(body) // 2])


async def test_a_body_is_read_only_where_the_policy_looks_into_it(tmp_path: Path) -> None:
    """Elsewhere, and where the head says already that this is no poll, it is passed on as it comes."""
    routes = route(path="/asks/**", policies=["poll"]) + route("plain", "/plain/**", ["other"])
    tables = {"more": asks()["more"] + hold("other"), "routes": routes}
    body = text(since=7, timeout=3)
    async with ScriptedUpstream() as up, gateway(config(up.url, **tables), tmp_path) as gw:
        for number, (method, path) in enumerate((("POST", "/plain/x"), ("PUT", "/asks/x"))):
            async with client(gw.port) as raw:
                await raw.send(get(path, JSON, f"Content-Length: {len(body)}", method=method), body[:9])
                await until(lambda number=number: [bytes(it.body) for it in up.requests[number:]] == [body[:9]])  # type: ignore[misc]
                await raw.send(body[9:])
                assert (await raw.read_answer()).status == 200
        async with client(gw.port) as raw:
            await raw.send(get("/asks/x", JSON, f"Content-Length: {len(body)}", method="POST"), body[:9])
            await waits(gw)
            assert len(up.requests) == 2
            await raw.send(body[9:])
            assert (await raw.read_answer()).status == 200


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_a_cursor_poll_is_sent_once_more_with_its_body(tmp_path: Path, end: End) -> None:
    body = text(since=7, timeout=900)
    async with ScriptedUpstream((end,), (answer(b"[1]"),)) as up, stage(up, tmp_path, **asks()) as (gw, raw):
        assert (await raw.ask(post(body, "/", JSON))).status == 200
        assert [json.loads(bytes(request.body)) for request in up.requests] == [{"since": 7, "timeout": 20}] * 2 or [
            json.loads(bytes(request.body))["timeout"] for request in up.requests
        ] == [20, 19]
        assert (await gw.record())["attempts"] == 2


async def test_a_large_body_is_not_kept_to_be_sent_again(tmp_path: Path) -> None:
    tables = asks(body_limit='"1MiB"')
    async with ScriptedUpstream(then=(End.CLOSE,)) as up, stage(up, tmp_path, **tables) as (gw, raw):
        assert (await raw.ask(post(text(since=7, x="x" * 17_000), "/", JSON))).status == 502
        assert len(up.requests) == 1
        assert (await gw.record())["outcome"] == "upstream_reset"


async def test_a_wish_in_the_body_cannot_contradict_the_one_that_counts(tmp_path: Path) -> None:
    table = asks(ask='[{ in = "query", name = "timeout" }, { in = "json", name = "/timeout" }]')
    async with ScriptedUpstream() as up, stage(up, tmp_path, **table) as (gw, raw):
        assert (await raw.ask(post(text(since=1, timeout=900), "/?timeout=5", JSON))).status == 200
        seen = up.requests[0]
        assert (seen.target, json.loads(bytes(seen.body))) == ("/?timeout=5", {"since": 1, "timeout": 5})
        assert seen.all("Content-Length") == [str(len(seen.body))]
        record = await gw.record()
        assert (record["hold_asked"], record["note"]) == (5, "repeated_ask")


async def test_a_body_in_no_special_coding_is_looked_into(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **asks()) as (gw, raw):
        assert (await raw.ask(post(text(since=1, timeout=5), "/", JSON, "Content-Encoding: identity"))).status == 200
        assert (await gw.record())["hold_asked"] == 5

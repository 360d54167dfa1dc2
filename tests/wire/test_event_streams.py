"""Streams of server-sent events through the gateway: passed on as they come for as long as they go on, kept alive by
comments that no reader takes for an event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.streams import BEAT, ONE, OPEN, SSE, TWO, cut, held_back, pause, sse
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, Step, answer, chunked
from tests.kit.waiting import until


async def test_events_come_as_they_are_sent_and_the_end_of_the_stream_is_its_end(tmp_path: Path) -> None:
    more = asyncio.Event()
    async with (
        ScriptedUpstream([OPEN, chunked(ONE, end=False), more, chunked(TWO)]) as up,
        stage(up, tmp_path) as (gw, raw),
    ):
        await raw.send(get())
        await raw.seen(chunked(ONE, end=False))
        more.set()
        assert bytes((await raw.read_answer()).body) == ONE + TWO
        record = await gw.record()
        assert (record["outcome"], record["status"], record["bytes_out"]) == ("streamed", 200, len(ONE + TWO))


async def test_the_time_a_stream_goes_on_is_not_the_gateways_work(tmp_path: Path) -> None:
    more = asyncio.Event()
    async with ScriptedUpstream([OPEN, more, chunked(TWO)]) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        await raw.seen(b"\r\n\r\n")
        seen = time.monotonic()
        await asyncio.sleep(0.3)
        rest = time.monotonic() - seen - 1e-6  # the record is rounded to that
        more.set()
        await raw.read_answer()
        record = await gw.record()
        assert record["took"] >= rest and record["work"] <= record["took"] - rest
        assert record["work"] == pytest.approx(record["first_byte"], abs=1e-4)


async def test_a_stream_has_no_total_time_and_its_idle_time_is_its_own(tmp_path: Path) -> None:
    def often(_: Message) -> Iterator[Step]:
        yield OPEN
        for _ in range(30):
            yield pause()
            yield chunked(ONE, end=False)
        yield b"0\r\n\r\n"

    clocks = 'response_timeout = "1s"\nbody_idle_timeout = "1s"'
    async with ScriptedUpstream(often) as up, stage(up, tmp_path, upstream=clocks) as (gw, raw):
        assert bytes((await raw.ask(get())).body) == ONE * 30  # for longer than any clock runs
        assert (await gw.record())["outcome"] == "streamed"


async def test_a_silent_stream_is_cut_after_the_idle_time_of_streams(tmp_path: Path) -> None:
    tables = sse(idle_timeout="400ms", heartbeat="100ms")
    async with (
        ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False))) as up,
        stage(up, tmp_path, **tables) as (gw, raw),
    ):
        await raw.send(get())
        said = await cut(raw)
        assert said.startswith(ONE) and set(said[len(ONE) :].split(b"\n\n")) == {b":", b""}
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["note"], record["blame"]) == ("truncated", "body_idle", "upstream")


FRAMED = {
    "chunked": (OPEN, chunked(ONE, end=False)),
    "close": (SSE + b"\r\n", ONE),
    "HTTP/1.0": (SSE.replace(b"1.1", b"1.0") + b"\r\n", ONE),
}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("framing", FRAMED)
async def test_a_comment_comes_when_nothing_else_was_sent_for_so_long(
    tmp_path: Path, framing: str, version: str
) -> None:
    head, event = FRAMED[framing]
    begin, more = asyncio.Event(), asyncio.Event()
    script = [head, begin, event, more, event.replace(b"one", b"two"), End.CLOSE]
    async with ScriptedUpstream(script, faults=True) as up, stage(up, tmp_path, **sse(heartbeat="100ms")) as (_, raw):
        await raw.send(get(version=version))
        beat = BEAT if version == "1.0" else b"3\r\n:\n\n\r\n"
        await raw.seen(beat)  # before the first event: the service has none yet
        begin.set()
        await raw.seen(b"one\n\n")
        await raw.seen((b"one\n\n" if version == "1.0" else b"one\n\n\r\n") + beat + beat)
        more.set()
        await raw.seen(b"two\n\n")
        assert raw.left.replace(beat, b"").count(b":\n") == 0


async def test_no_comment_stands_within_an_event_or_within_a_chunk(tmp_path: Path) -> None:
    parts = [asyncio.Event() for _ in range(4)]
    script = [OPEN, b"5\r\ndata:\r\n", parts[0], b"6\r\n one\n\n", parts[1], b"\r\n5\r\ndata:\r\n", parts[2],
              b"5\r\n two\n\r\n", parts[3], b"1\r\n\n\r\n0\r\n\r\n"]  # fmt: skip
    async with ScriptedUpstream(script) as up, stage(up, tmp_path, **sse(heartbeat="100ms")) as (_, raw):
        await raw.send(get())
        for part, before in zip(parts, (b"data:", b" one\n\n", b"\n\r\n5\r\ndata:", b" two\n"), strict=True):
            await raw.seen(before)
            await asyncio.sleep(0.35)  # three comments would have been due
            part.set()
        found = await raw.read_answer()
        assert bytes(found.body) == b"data: one\n\ndata: two\n\n"


@pytest.mark.parametrize("field", [b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked", b"Content-Length: 100"])
async def test_no_comment_is_put_where_it_would_break_the_answer(tmp_path: Path, field: bytes) -> None:
    more = asyncio.Event()
    async with (
        ScriptedUpstream([SSE + field + b"\r\n\r\n", more, End.CLOSE], faults=True) as up,
        stage(up, tmp_path, **sse(heartbeat="100ms")) as (_, raw),
    ):
        await raw.send(get())
        await raw.seen(b"\r\n\r\n")
        await asyncio.sleep(0.35)
        more.set()
        assert await cut(raw) == b""


async def test_no_comment_is_put_into_what_is_no_stream_of_events(tmp_path: Path) -> None:
    script = held_back(OPEN.replace(b"text/event-stream", b"application/x-ndjson"))
    clocks = 'body_idle_timeout = "400ms"'
    async with (
        ScriptedUpstream(script) as up,
        stage(up, tmp_path, upstream=clocks, **sse(heartbeat="50ms")) as (gw, raw),
    ):
        await raw.send(get())
        assert await cut(raw) == b""
        assert (await gw.record())["outcome"] == "truncated"


async def test_where_an_event_stream_was_left_is_in_the_record_and_reaches_the_service(tmp_path: Path) -> None:
    whole = answer(ONE, "200 OK", "Content-Type: text/event-stream")
    async with ScriptedUpstream(then=(whole,)) as up, stage(up, tmp_path, **sse()) as (gw, raw):
        await raw.ask(get("/a", "Last-Event-ID: 41"))
        await raw.ask(get("/b"))
        first, second = await gw.records(2)
        assert first["cursor"] == "41" and "cursor" not in second and "dialect" not in first
        assert up.requests[0].one("Last-Event-ID") == "41"


async def test_where_an_event_stream_was_left_is_not_logged_where_cursors_are_not(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, log="cursor = false", **sse()) as (gw, raw):
        await raw.ask(get("/a", "Last-Event-ID: 41"))
        assert "cursor" not in await gw.record()


async def test_a_client_that_leaves_a_stream_ends_it_at_the_service(tmp_path: Path) -> None:
    async with ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False))) as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(get())
        await raw.seen(ONE)
        await raw.close()
        await until(lambda: up.live == 0)
        assert (await gw.record())["outcome"] == "client_gone"


async def test_a_stream_counts_as_an_ordinary_call_for_as_long_as_it_goes_on(tmp_path: Path) -> None:
    tables = sse()
    tables["more"] += '[[policy.few.concurrency_cap]]\nmax = 1\nper = "route"\n'
    tables["routes"] = route(policies=["events", "few"])
    async with (
        ScriptedUpstream(held_back(OPEN, chunked(ONE, end=False))) as up,
        stage(up, tmp_path, **tables) as (gw, raw),
    ):
        await raw.send(get())
        await raw.seen(ONE)
        async with client(gw.port) as other:
            assert (await other.ask(get())).status == 429
        await raw.close()
        await until(lambda: up.live == 0)
        async with client(gw.port) as other:
            assert (await other.ask(get())).status == 200


async def test_a_poll_that_is_answered_with_a_stream_of_events_is_kept_alive_like_one(tmp_path: Path) -> None:
    more = asyncio.Event()
    tables = sse(heartbeat="100ms")
    tables["more"] += hold(empty='{ answer = "origin" }')
    tables["routes"] = route(policies=["poll", "events"])
    async with ScriptedUpstream([OPEN, more, chunked(ONE)]) as up, stage(up, tmp_path, **tables) as (gw, raw):
        await raw.send(get())
        await raw.seen(BEAT)
        more.set()
        assert bytes((await raw.read_answer()).body).replace(BEAT, b"") == ONE
        assert (await gw.record())["outcome"] == "news"


async def test_an_upstream_that_resets_a_stream_cuts_it(tmp_path: Path) -> None:
    more = asyncio.Event()
    async with (
        ScriptedUpstream([OPEN, chunked(ONE, end=False), more, End.RESET], faults=True) as up,
        stage(up, tmp_path) as (gw, raw),
    ):
        await raw.send(get())
        await raw.seen(ONE)
        more.set()
        await cut(raw)
        assert (await gw.record())["outcome"] == "truncated"


async def test_two_gateways_in_a_row_pass_polls_and_events_as_they_come(tmp_path: Path) -> None:
    begin, news = asyncio.Event(), asyncio.Event()
    more = sse(heartbeat="100ms")["more"] + hold()
    tables = {"more": more, "routes": route("poll", "/poll", ["poll"]) + route("rest", "/**", ["events"])}
    (tmp_path / "outer").mkdir()
    script = [OPEN, begin, chunked(ONE, TWO)]
    async with (
        ScriptedUpstream(script, [news, answer(b'["news"]')]) as up,
        gateway(config(up.port, **tables), tmp_path) as inner,
        gateway(config(inner.port, **tables), tmp_path / "outer") as outer,
        client(outer.port) as raw,
    ):
        await raw.send(get())
        await raw.seen(BEAT)
        begin.set()
        await raw.seen(chunked(ONE, TWO))
        await raw.read_answer()
        await raw.send(get("/poll"))
        await until(lambda: len(up.requests) == 2)
        news.set()
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        assert [record["outcome"] for record in await outer.records(2)] == ["streamed", "news"]

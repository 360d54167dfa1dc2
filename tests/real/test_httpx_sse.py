"""`httpx-sse` with a gateway process between it and a feed of server-sent events: every event at once and once, also
where a connection breaks, because the reader says which it had last. Readers are signed in, capped and recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

from tests.kit.gateways import SIGNED_IN, Process, Record, gateway_process, process_config, route, token
from tests.kit.waiting import until

from .feed import Feed, Reading, serving

ITEMS = [f"item {number} – “{'é' * number}”" for number in range(20)]
CAP = '[[policy.readers.concurrency_cap]]\nmax = 2\nper = "consumer"\n'
PATIENCE = 15.0


def before(feed: Feed, server: str = "", upstream: str = "") -> str:
    routes = route("events", "/events", ["signed-in", "readers"], 'methods = ["GET"]')
    return process_config(feed.port, more=SIGNED_IN + CAP, routes=routes, server=server, upstream=upstream)


class Reader:
    """A loop as people write it around `aconnect_sse`: it comes back with the id of the last event it got, and as soon
    as the feed allows."""

    def __init__(self, gw: Process, subject: str = "alice", ttl: float = 3600, come_back: bool = True) -> None:
        self.url = f"http://127.0.0.1:{gw.port}/events"
        self.headers = {"Authorization": f"Bearer {token(subject, ttl)}"}
        self.come_back = come_back
        self.last, self.pause = "", 0.05
        self.items: list[str] = []
        self.breaks: list[Exception] = []
        self.statuses: list[int] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
            while True:
                try:
                    await self._stream(http)
                except (httpx.TransportError, SSEError) as error:
                    self.breaks.append(error)
                if not self.come_back:
                    return
                await asyncio.sleep(self.pause)

    async def _stream(self, http: httpx.AsyncClient) -> None:
        headers = self.headers | ({"Last-Event-ID": self.last} if self.last else {})
        async with aconnect_sse(http, "GET", self.url, headers=headers) as source:
            self.statuses.append(source.response.status_code)
            async for event in source.aiter_sse():
                self.got(event)

    def got(self, event: ServerSentEvent) -> None:
        if event.retry is not None:
            self.pause = event.retry / 1000
            return
        assert event.event == "item"
        self.last = event.id
        self.items.append(json.loads(event.data))

    async def leave(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@contextlib.asynccontextmanager
async def reading(gw: Process, subject: str = "alice") -> AsyncIterator[Reader]:
    reader = Reader(gw, subject)
    try:
        yield reader
    finally:
        await reader.leave()


async def opened(feed: Feed, number: int = 1) -> Reading:
    await until(lambda: len(feed.readings) >= number, f"stream {number}")
    return feed.readings[number - 1]


async def ended(gw: Process, count: int) -> list[Record]:
    """The records of the streams, all of which are over."""
    return await gw.records(count)


async def test_every_event_is_read_before_the_next_is_published(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            async with reading(gw) as reader:
                for number, item in enumerate(ITEMS, 1):
                    await feed.publish(item)
                    await until(lambda number=number: len(reader.items) == number, item)  # type: ignore[misc]
                assert reader.items == ITEMS and not reader.breaks
                stream = await opened(feed)
            await until(lambda: stream.ended == "left", "the feed is left")
            (record,) = await ended(gw, 1)
    assert "Authorization" not in stream.headers and stream.since is None
    assert (record["consumer"], record["route"], record["status"]) == ("alice", "events", 200)
    assert record["attempts"] == 1
    assert record["first_byte"] < record["took"] and record["bytes_out"] > len("".join(ITEMS).encode())


async def test_every_reader_gets_every_event(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            async with reading(gw) as one, reading(gw) as two, reading(gw, "bob") as three:
                await opened(feed, 3)
                await feed.publish(*ITEMS)
                for reader in (one, two, three):
                    await until(lambda reader=reader: len(reader.items) == len(ITEMS))  # type: ignore[misc]
                    assert reader.items == ITEMS


async def test_a_reader_comes_back_with_the_last_id_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            async with reading(gw) as reader:
                for turn in range(1, 5):
                    stream = await opened(feed, turn)
                    await feed.publish(*ITEMS[5 * turn - 5 : 5 * turn])
                    await until(lambda turn=turn: len(reader.items) == 5 * turn)  # type: ignore[misc]
                    stream.cut()
                await opened(feed, 5)
                assert reader.items == ITEMS
                assert [stream.since for stream in feed.readings] == [None, "5", "10", "15", "20"]
                assert len(reader.breaks) == 4
            records = await ended(gw, 5)
    assert [record["blame"] for record in records[:4]] == ["upstream"] * 4
    assert {record["consumer"] for record in records} == {"alice"}


async def test_a_reader_comes_back_to_another_gateway_as_the_one_before_stops(tmp_path: Path) -> None:
    async with serving() as feed:
        text = before(feed, server='drain = "300ms"\nstop_grace = "5s"')
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        with gateway_process(text, tmp_path / "one") as gw:
            async with reading(gw) as reader:
                await opened(feed)
                await feed.publish(*ITEMS[:5])
                await until(lambda: len(reader.items) == 5)
                gw.terminate()
                assert await gw.exit_code() == 0
                await until(lambda: reader.breaks, "it sees that the stream did not end by itself")
                await feed.publish(*ITEMS[5:10])
                with gateway_process(text, tmp_path / "two"):
                    await until(lambda: len(reader.items) == 10)
                    assert reader.items == ITEMS[:10] and feed.readings[-1].since == "5"


async def test_a_reader_that_leaves_frees_the_feed_and_its_place_at_once(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            for number in range(1, 7):
                async with reading(gw):
                    stream = await opened(feed, number)
                await until(lambda stream=stream: stream.ended == "left")  # type: ignore[misc]
            assert {record["status"] for record in await ended(gw, 6)} == {200}


async def test_a_caller_has_no_more_streams_at_once_than_its_cap(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            async with reading(gw) as one, reading(gw):
                await opened(feed, 2)
                third = Reader(gw, come_back=False)
                await asyncio.wait([third.task])
                assert third.statuses == [429] and isinstance(third.breaks[0], SSEError)
                async with reading(gw, "bob"):
                    await opened(feed, 3)
                    await one.leave()
                    await until(lambda: len(feed.open) == 2)
                    async with reading(gw):
                        await opened(feed, 4)
            capped = [record for record in await ended(gw, 5) if record["outcome"] == "capped"]
    assert [record["consumer"] for record in capped] == ["alice"]
    assert feed.most_open == 3


@pytest.mark.parametrize("ttl", [-3600.0, -120.0])
async def test_a_reader_whose_token_has_ended_is_refused_and_the_feed_hears_nothing(tmp_path: Path, ttl: float) -> None:
    async with serving() as feed:
        with gateway_process(before(feed), tmp_path) as gw:
            late = Reader(gw, ttl=ttl, come_back=False)
            await asyncio.wait([late.task])
            assert late.statuses == [401]
            (record,) = await ended(gw, 1)
            assert token().split(".")[0] not in gw.log.read_text("utf-8")
    assert (record["outcome"], feed.readings) == ("unauthenticated", [])


async def test_a_feed_that_falls_silent_is_left_and_asked_again(tmp_path: Path) -> None:
    async with serving() as feed:
        with gateway_process(before(feed, upstream='body_idle_timeout = "300ms"'), tmp_path) as gw:
            async with reading(gw) as reader:
                await feed.publish(*ITEMS[:5])
                await opened(feed, 2)
                await feed.publish(*ITEMS[5:10])
                await until(lambda: len(reader.items) == 10)
                assert reader.items == ITEMS[:10] and reader.breaks

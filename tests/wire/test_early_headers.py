"""Services that begin to answer before they have news, on the wire: the client gets every byte at once, and yet the
poll is held, listed, bounded, ended by a drain, and recorded as what it came to.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import SIGNED_IN, InProcess, bearer, gateway_process, hold, process_config, route
from tests.kit.polls import end, listed
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.strict import Cut
from tests.kit.upstreams import ScriptedUpstream, Step, chunked
from tests.kit.waiting import until

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BEGUN = b'{"results":[\n'
EMPTY = b'\n],\n"last_seq":"7","pending":0}\n'
NEWS = b'{"seq":"8","id":"a","changes":[{"rev":"1-a"}]}\n'
IDLE = '["json:/results == []"]'
SLOW = "60s"  # clocks that must not be what ends a hold here


def early(**values: object) -> dict[str, Any]:
    table = {"early_headers": "true", "idle": IDLE, "absent": f'"{SLOW}"', "max": f'"{SLOW}"'} | values
    return {"more": hold(**table), "routes": route(policies=["poll"]), "upstream": 'body_idle_timeout = "300ms"'}


def chunk(data: bytes) -> bytes:
    return chunked(data, end=False)


class Feed:
    """One answer of which the test gives each piece when it likes."""

    def __init__(self, pieces: int = 1) -> None:
        self.pieces = [asyncio.get_running_loop().create_future() for _ in range(pieces)]

    @property
    def script(self) -> list[Step]:
        return [HEAD + chunk(BEGUN), *self.pieces]

    def give(self, data: bytes) -> None:
        next(piece for piece in self.pieces if not piece.done()).set_result(data)


async def the_call(gw: InProcess) -> dict[str, Any]:
    (call,) = await gw.held()
    return call


@pytest.mark.parametrize(
    ("rest", "outcome"), [(chunked(EMPTY), "empty"), (chunked(NEWS, EMPTY), "news"), (chunked(b"x" * 9000), "news")]
)
async def test_a_poll_is_held_although_its_answer_began(tmp_path: Path, rest: bytes, outcome: str) -> None:
    feed = Feed()
    async with ScriptedUpstream(feed.script) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        await raw.seen(BEGUN)
        await asyncio.sleep(0.5)  # longer than `body_idle_timeout`
        call = await the_call(gw)
        assert (call["state"], call["poll"], call["endable"]) == ("relaying", True, False)
        assert 50 < call["ends_in"] < 61
        assert len((await listed(gw, state="relaying"))["calls"]) == 1
        assert b'longpoll_held{route="all",state="relaying"} 1' in (await gw.admin("/metrics"))[1]
        feed.give(rest)
        found = await raw.read_answer()
        assert found.status == 200 and bytes(found.body).startswith(BEGUN)
        record = await gw.record()
        assert record["outcome"] == outcome
        assert record["first_byte"] < 0.5 <= record["held"] <= record["took"]
        assert ("news_latency" in record) == (outcome == "news")
        assert await gw.held() == []
        assert len(up.requests) == 1


async def test_it_is_cut_visibly_at_its_deadline_whatever_heartbeats_say(tmp_path: Path) -> None:
    feed = Feed(100)

    async def beat() -> None:
        for _ in feed.pieces:
            feed.give(chunk(b"\n"))
            await asyncio.sleep(0.1)

    table = early(absent='"1s"', max='"1s"', margin='"100ms"')
    async with ScriptedUpstream(feed.script) as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(get())
        beating = asyncio.create_task(beat())
        with pytest.raises(Cut):
            await raw.read_answer()
        await until(lambda: up.live == 0)
        beating.cancel()
        record = await gw.record()
        assert (record["outcome"], record["note"], record["blame"]) == ("truncated", "overdue", "upstream")
        assert record["status"] == 200
        assert record["took"] >= 1.1  # its time runs from when it came, not from when it was sent
        overview = (await gw.admin("/api/upstreams"))[1]
        assert b'"overruns":1' in overview


async def test_an_unbounded_one_lives_by_its_heartbeats(tmp_path: Path) -> None:
    feed = Feed(6)
    table = early(absent='"unbounded"', max='"24h"') | {"upstream": 'body_idle_timeout = "1s"'}
    async with (
        ScriptedUpstream(feed.script) as up,
        stage(up, tmp_path, **table) as (gw, raw),
    ):
        await raw.send(get())
        await raw.seen(BEGUN)
        for beats in range(1, 7):
            await asyncio.sleep(0.25)
            feed.give(chunk(b"\n" * beats))
            await raw.seen(chunk(b"\n" * beats))
        assert (await the_call(gw))["state"] == "relaying"
        with pytest.raises(Cut):  # and no longer
            await raw.read_answer()
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["note"]) == ("truncated", "body_idle")
        assert record["held"] >= 2


async def test_a_client_that_leaves_frees_the_upstream_at_once(tmp_path: Path) -> None:
    feed = Feed()
    async with ScriptedUpstream(feed.script) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        await raw.seen(BEGUN)
        assert up.held == 1
        await raw.close()
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["status"]) == ("client_gone", 200)


async def test_an_upstream_that_dies_then_is_neither_asked_again_nor_covered_up(tmp_path: Path) -> None:
    feed = Feed()
    async with ScriptedUpstream(feed.script, then=feed.script) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        await raw.seen(BEGUN)
        up.peers[0].writer.transport.abort()
        with pytest.raises(Cut):
            await raw.read_answer()
        assert (await gw.record())["outcome"] == "truncated" and len(up.requests) == 1


async def test_one_that_dies_before_is_asked_again(tmp_path: Path) -> None:
    feed = Feed()
    news: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with ScriptedUpstream((news,), feed.script) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        await until(lambda: up.held == 1)
        up.peers[0].writer.transport.abort()
        await raw.seen(BEGUN)
        feed.give(chunked(EMPTY))
        await raw.read_answer()
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("empty", 2)


async def test_the_operator_can_end_it_no_more(tmp_path: Path) -> None:
    feed = Feed()
    async with ScriptedUpstream(feed.script) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        await raw.seen(BEGUN)
        assert await end(gw, all=True) == {"ended": 0, "not_endable": 1}
        feed.give(chunked(EMPTY))
        assert (await raw.read_answer()).status == 200


async def test_it_counts_under_its_caps_to_its_end(tmp_path: Path) -> None:
    feed = Feed()
    table = early()
    table["upstream"] += "\nmax_held = 1"
    async with (
        ScriptedUpstream(feed.script) as up,
        stage(up, tmp_path, **table) as (gw, raw),
        client(gw.port) as other,
    ):
        await raw.send(get())
        await raw.seen(BEGUN)
        assert (await other.ask(get())).status == 503
        feed.give(chunked(EMPTY))
        await raw.read_answer()
        await gw.records(2)
        await other.send(get())
        await until(lambda: len(up.requests) == 2)


async def test_a_hold_ends_with_its_token_also_when_its_answer_began(tmp_path: Path) -> None:
    feed = Feed()
    table = early(max='"1h"', absent='"1h"', margin='"100ms"')
    table["more"] += SIGNED_IN.replace("keys =", 'leeway = "0s"\nkeys =')
    table["routes"] = route(policies=["signed-in", "poll"])
    async with ScriptedUpstream(feed.script) as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(get("/", bearer(ttl=2)))
        with pytest.raises(Cut):
            await raw.read_answer()
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["clamped_by"], record["blame"]) == ("expired", "token", "downstream")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_drain_lets_it_run_to_the_end_of_the_window(tmp_path: Path, version: str) -> None:
    """One gets its answer inside the window, the other is cut at its end, and not with a plain FIN."""
    answered, silent = Feed(), Feed()
    text = {**early(), "server": 'drain = "1s"\nstop_grace = "10s"'}
    async with ScriptedUpstream(answered.script, silent.script, faults=True) as up:
        with gateway_process(process_config(up.port, **text), tmp_path) as gw:
            async with client(gw.port) as first, client(gw.port) as second:
                for raw in (first, second):
                    await raw.send(get(version=version))
                    await raw.seen(BEGUN)
                gw.terminate()
                await until(lambda: (gw.process.poll() is None) and b"draining" in gw.output.read_bytes())
                answered.give(chunked(EMPTY))
                assert bytes((await first.read_answer()).body) == BEGUN + EMPTY
                try:
                    found = await second.read_answer()
                except Cut:
                    pass
                else:
                    assert found.framing == "eof" and second.reset_by is not None
                assert await gw.exit_code() == 0
            records = await gw.records(2)
            assert sorted(record["outcome"] for record in records) == ["drained", "empty"]
            (drained,) = [record for record in records if record["outcome"] == "drained"]
            assert (drained["clamped_by"], drained["blame"]) == ("drain", "gateway")


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_one_that_has_not_begun_gets_its_template_in_a_drain(tmp_path: Path) -> None:
    never: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    text = {**early(absent='"unbounded"', max='"1h"'), "server": 'drain = "500ms"\nstop_grace = "10s"'}
    async with ScriptedUpstream((never,)) as up:
        with gateway_process(process_config(up.port, **text), tmp_path) as gw:
            async with client(gw.port) as raw:
                await raw.send(get())
                await until(lambda: up.held == 1)
                gw.terminate()
                assert bytes((await raw.read_answer()).body) == b"[]"
                assert await gw.exit_code() == 0
            assert (await gw.record())["outcome"] == "drained"


async def test_a_slow_reader_gets_every_byte_and_slows_the_upstream(tmp_path: Path) -> None:
    """It is choked when the hold's deadline passes; what comes then is the rest of the news."""
    size = 32 * 1024 * 1024
    body = b"x" * 65536
    script = [HEAD + chunk(BEGUN), *[chunk(body)] * (size // len(body)), chunked(EMPTY)]
    table = early(absent='"500ms"', max='"500ms"', margin='"100ms"')
    table["upstream"] = 'body_idle_timeout = "20s"'
    async with ScriptedUpstream(script) as up, stage(up, tmp_path, **table) as (gw, _):
        async with client(gw.port, receive=65536) as slow:
            await slow.send(get())
            await until(lambda: up.held == 1)
            await asyncio.sleep(1.0)
            assert up.held == 1, "nobody reads, and everything was sent"
            found = await slow.read_answer()
            assert len(found.body) == len(BEGUN) + size + len(EMPTY)
        record = await gw.record()
        assert (record["outcome"], record["bytes_out"]) == ("news", len(found.body))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops"])
async def test_an_error_is_an_answer_from_its_first_byte_on(tmp_path: Path, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    async with ScriptedUpstream((head, asyncio.Event())) as up, stage(up, tmp_path, **early()) as (gw, raw):
        await raw.send(get())
        with pytest.raises(Cut):
            await raw.read_answer()
        assert ((await gw.record())["outcome"]) == "truncated"
        await until(lambda: up.live == 0)

"""`GET /api/stream` on the wire: who watches gets an overview a second, and nobody who does not read costs anything."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.admin import stream
from gateway.telemetry.tallies import Tallies
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.polls import polling
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import soon, until

POLL = {"more": hold(max='"60s"', absent='"60s"'), "routes": route("updates", policies=["poll"])}


async def watch(raw: RawClient) -> bytes:
    """Begins to watch; the head of the answer."""
    await raw.send(get("/api/stream"))
    return await soon(raw.reader.readuntil(b"\r\n\r\n"))


async def event(raw: RawClient) -> dict[str, Any]:
    """The next overview."""
    text = await soon(raw.reader.readuntil(b"}\n\n"))
    found: dict[str, Any] = json.loads(text[text.index(b"data: ") + 6 :])
    return found


async def test_an_overview_is_one_event_and_the_next_has_what_happened_since(tmp_path: Path) -> None:
    news = ScriptedUpstream((asyncio.Event(),), then=(answer(b'[{"id": 1}]'),))
    async with news as up, gateway(config(up.port, **POLL), tmp_path) as gw, client(gw.admin_port) as raw:
        head = await watch(raw)
        assert b"Content-Type: text/event-stream" in head and b"no-store" in head
        first = await event(raw)
        assert first["held"]["total"] == 0 and first["ready"] and not first["draining"]
        async with polling(gw, get("/held")), client(gw.port) as other:
            await until(lambda: up.requests)
            assert (await other.ask(get("/news"))).status == 200
            second = await event(raw)
            while not second["rates"]:
                second = await event(raw)
        assert second["held"]["total"] == 1 and second["now"] > first["now"]
        assert second["held"]["routes"] == [{"route": "updates", "parked": 1, "waiting": 0}]
        assert second["held"]["endpoints"][0] | {"held": 1, "calls": 1, "failed": 0} == second["held"]["endpoints"][0]
        assert [(one["route"], one["outcome"], one["poll"]) for one in second["rates"]] == [("updates", "news", True)]
        assert second["totals"]["updates"]["polls"] == {"news": 1}
        assert second["hold"]["updates"]["count"] == second["news"]["updates"]["count"] == 1
        assert second["empty_share"] == {"updates": 0.0}


async def test_it_is_made_once_for_all_and_not_at_all_for_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    written = stream.written
    monkeypatch.setattr(stream, "written", lambda overview: made.append(1) or written(overview))
    async with gateway(config(1), tmp_path) as gw:
        watchers = [await connect(gw.admin_port) for _ in range(3)]
        for raw in watchers:
            await watch(raw)
        seen = [await event(raw) for raw in watchers]
        assert len({one["now"] for one in seen}) <= 2 and len(made) <= 2
        for raw in watchers:
            await raw.close()
        await until(lambda: not producers(), "nobody makes an overview for nobody")


def producers() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if "_produce" in repr(task.get_coro())]


async def test_more_than_may_watch_are_told_so_and_the_listener_still_answers(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        watchers = [await connect(gw.admin_port) for _ in range(stream.MOST)]
        for raw in watchers:
            await watch(raw)
        async with client(gw.admin_port) as raw:
            refused = await raw.ask(get("/api/stream"))
            assert (refused.status, refused.one("Retry-After")) == (503, "2")
            assert (await raw.ask(get("/healthz"))).status == 200
            await watchers.pop().close()
            await admitted(gw.admin_port)
        for raw in watchers:
            await raw.close()


async def admitted(port: int) -> None:
    """Waits until one more may watch."""
    while True:
        async with client(port) as raw:
            if b" 200 " in await watch(raw):
                return


async def test_who_takes_nothing_is_left_and_who_reads_is_not_kept_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PERIOD", 0.01)
    monkeypatch.setattr(stream, "PATIENCE", 2.0)
    monkeypatch.setattr(stream, "written", lambda _: b"event: overview\ndata: {%b}\n\n" % (b" " * 300_000))
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as reading:
        await watch(reading)
        lazy = [await connect(gw.admin_port, receive=4096) for _ in range(stream.MOST - 1)]
        for raw in lazy:
            await raw.send(get("/api/stream"))
            await soon(raw.reader.readuntil(b"\r\n\r\n"))
            raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        one_more = asyncio.ensure_future(admitted(gw.admin_port))
        while not one_more.done() or connections(gw) > 1:
            assert await soon(reading.reader.read(65536)), "who reads goes on"
        for raw in lazy:
            raw.reset()


def connections(gw: InProcess) -> int:
    assert gw.app._admin is not None and gw.app._admin._runner.server is not None
    return len(gw.app._admin._runner.server.connections)


async def test_who_comes_back_is_told_nothing_of_then(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=(asyncio.Event(),)) as up, gateway(config(up.port, **POLL), tmp_path) as gw:
        async with client(gw.admin_port) as raw:
            await watch(raw)
            assert (await event(raw))["held"]["total"] == 0
        await until(lambda: not producers())
        async with polling(gw, get("/held")), client(gw.admin_port) as raw:
            await until(lambda: up.requests)
            await watch(raw)
            assert (await event(raw))["held"]["total"] == 1


async def test_a_hundred_who_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        before = len(asyncio.all_tasks())
        for _ in range(100):
            async with client(gw.admin_port) as raw:
                await watch(raw)
                raw.reset()
        await until(lambda: not connections(gw) and not producers())
        await until(lambda: len(asyncio.all_tasks()) <= before, "what looked for them has ended")


async def test_it_ends_with_the_gateway_at_once(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        await watch(raw)
        await event(raw)
        await gw.app.stop()
        assert (await soon(raw.reader.read(-1))).endswith(b"0\r\n\r\n"), "an end, not a break"


async def test_a_bug_of_ours_is_told_and_does_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(config(1), tmp_path) as gw, client(gw.admin_port) as raw:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        monkeypatch.delattr(Tallies, "count")
        monkeypatch.setattr("gateway.admin.view.gather", None)
        await watch(raw)
        assert "its log says more" in (await event(raw))["error"] and told
        monkeypatch.undo()
        while "error" in (found := await event(raw)):
            pass
        assert found["held"]["total"] == 0


async def test_who_comes_when_it_is_over_is_told_so_and_nothing_begins_again(tmp_path: Path) -> None:
    ended = stream.Stream(lambda: asyncio.sleep(0, {}))
    assert not ended.watched
    await ended.close()
    application = web.Application()
    application.router.add_get("/", ended.watch)
    runner = web.AppRunner(application)
    await runner.setup()
    path = str(tmp_path / "late.sock")
    await web.UnixSite(runner, path).start()
    async with client(Path(path)) as raw:
        told = await raw.ask(get("/"))
        assert (told.status, b"the gateway ends" in bytes(told.body), producers()) == (503, True, [])
    await runner.cleanup()

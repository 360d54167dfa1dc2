"""The call log of a running gateway beyond one line a call: holds that begin, files that are rotated and compacted
beside it, a collector, restarts after a kill.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.telemetry.naming import readable
from tests.kit.call_logs import calls, line
from tests.kit.gateways import (
    SIGNED_IN,
    InProcess,
    bearer,
    config,
    gateway,
    gateway_process,
    hold,
    process_config,
    route,
    to_collector,
)
from tests.kit.otlp import attributes, collector
from tests.kit.raw import client, get
from tests.kit.schema import wrongs
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])  # a log knows no transport
START = "start_of_hold = true"
POLLS = route(policies=["poll"])


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()] if path.exists() else []


# -- holds that begin ----------------------------------------------------------------------------------------------


async def test_a_hold_that_begins_leaves_a_line_while_it_is_held(tmp_path: Path) -> None:
    more = SIGNED_IN + hold(ask='[{ in = "query", name = "timeout", unit = "s" }]')
    routes = route(policies=["signed-in", "poll"])
    async with HoldingUpstream() as up:
        text = config(up.port, more=more, routes=routes, log=START)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.send(get("/updates?timeout=90", bearer("alice", tenant="acme")))
            await until(lambda: lines(gw.log), "the line of its start")
            (start,) = lines(gw.log)
            await until(lambda: up.publish(), "the poll has its news")
            await raw.read_answer()
            _, end = await gw.records(2)
    assert wrongs(start) == [] and start["kind"] == "start" and "kind" not in end
    same = ("id", "trace", "route", "consumer", "peer", "path", "hold_asked", "hold_granted", "clamped_by", "endpoint")
    assert [start[name] for name in same] == [end[name] for name in same]
    assert (start["consumer"], start["hold_asked"], start["clamped_by"]) == ("alice", 90.0, "max")
    assert end["time"] <= start["time"] < start["ends_at"]


async def test_only_what_is_held_has_a_line_of_its_start(tmp_path: Path) -> None:
    routes = route("poll", "/poll", ["poll"]) + route("rest", "/rest")
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, more=hold(), routes=routes, log=START), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for target in ("/rest", "/nowhere", "/poll", "/rest"):
            await raw.ask(get(target))
        found = await gw.records(5)
    assert [record.get("kind") for record in found].count("start") == 1
    assert [record.get("kind") for record in found if record["path"] == "/poll"] == ["start", None], "in this order"
    assert len({record["id"] for record in found if record["path"] == "/poll"}) == 1


async def test_lines_of_starts_come_and_go_with_a_reload(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=hold(), routes=POLLS)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            file = tmp_path / "gateway.toml"
            without = file.read_text()
            for wanted, count in ((without, 1), (without.replace("[log]", f"[log]\n{START}"), 3), (without, 4)):
                file.write_text(wanted)
                assert await gw.app.reload() == []
                await raw.ask(get())
                assert len(await gw.records(count)) == count


# -- files ---------------------------------------------------------------------------------------------------------


SMALL = '{ size = "64KiB" }'


async def many(gw: InProcess, count: int) -> dict[str, int]:
    """So many calls, each answered; their paths, each once."""
    async with client(gw.port) as raw:
        for number in range(count):
            assert (await raw.ask(get(f"/{number}/{'x' * 400}"))).status == 200
    return {f"/{number}/{'x' * 400}": 1 for number in range(count)}


def paths(live: Path) -> Counter[str]:
    return calls(live, "path")


async def test_a_full_file_is_closed_and_compacted_beside_the_gateway(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, rotate=SMALL), tmp_path) as gw:
        asked = await many(gw, 200)
        await until(lambda: readable(gw.log).parquet, "Parquet of the closed file")
        await until(lambda: paths(gw.log) == asked, "every call once, the last ones too")
        assert gw.app._telemetry.log.dropped == 0


async def test_without_parquet_closed_files_stay_as_they_are(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, rotate='{ size = "64KiB", parquet = false }'), tmp_path) as gw,
    ):
        asked = await many(gw, 200)
        await until(lambda: paths(gw.log) == asked, "every call once, the last ones too")
        there = readable(gw.log)
    assert not there.parquet and len(there.lines) > 1


async def test_what_a_gateway_before_left_is_compacted_at_the_start(tmp_path: Path) -> None:
    """A closed file, and a live one of an hour that is over, as an upgrade finds it."""
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - 7200))
    (tmp_path / f"calls-{stamp}-000001.jsonl").write_bytes(line("older", now - 7300))
    live = tmp_path / "calls.jsonl"
    live.write_bytes(line("old", now - 7100))
    os.utime(live, (now - 7000, now - 7000))
    async with ScriptedUpstream() as up, gateway(config(up.port, rotate=SMALL), tmp_path) as gw:
        await until(lambda: len(readable(live).lines) == 1 and readable(live).parquet, "both are compacted")
        await until(lambda: calls(live) == {"older": 1, "old": 1}, "and read once")
        async with client(gw.port) as raw:
            await raw.ask(get("/new"))
        await until(lambda: len(calls(live)) == 3, "the new one follows")


async def test_a_closed_file_alone_is_compacted_at_the_start_too(tmp_path: Path) -> None:
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - 60))
    (tmp_path / f"calls-{stamp}-000001.jsonl").write_bytes(line("older", now - 70))
    async with ScriptedUpstream() as up, gateway(config(up.port, rotate=SMALL), tmp_path) as gw:
        await until(lambda: readable(gw.log).parquet, "it is compacted")
        assert calls(gw.log) == {"older": 1}


async def test_a_file_that_somebody_moved_is_opened_anew_within_a_batch(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port, rotate=SMALL), tmp_path) as gw, client(gw.port) as raw:
        await raw.ask(get("/before"))
        await gw.records(1)
        gw.log.rename(tmp_path / "calls.jsonl.1")
        await raw.ask(get("/after"))
        assert [record["path"] for record in await gw.records(1)] == ["/after"]
        assert [record["path"] for record in lines(tmp_path / "calls.jsonl.1")] == ["/before"]


async def test_after_a_kill_every_line_that_was_there_is_there_once(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = process_config(up.port, rotate=SMALL)
        asked: dict[str, int] = {}
        for run in range(3):
            with gateway_process(text, tmp_path) as gw:
                async with client(gw.port) as raw:
                    for number in range(150):
                        path = f"/{run}/{number}/{'x' * 400}"
                        assert (await raw.ask(get(path))).status == 200
                        asked[path] = 1
                await until(lambda: paths(gw.log) == asked, "all of it is written")
                gw.process.send_signal(signal.SIGKILL)
                gw.process.wait()
            with gw.log.open("ab") as file:
                file.write(b'{"v":1,"time":"20')  # what a kill in the middle of a write may leave
            assert paths(gw.log) == asked


async def test_a_file_that_others_rotate_is_only_written(tmp_path: Path) -> None:
    """Nor is anything of what lies beside it touched."""
    live = tmp_path / "calls.jsonl"
    live.write_bytes(line("old", 0.0))
    os.utime(live, (0.0, 0.0))
    closed = tmp_path / "calls-20200101T000000Z-000001.jsonl"
    closed.write_bytes(line("older"))
    async with ScriptedUpstream() as up, gateway(config(up.port, rotate="false"), tmp_path) as gw:
        await many(gw, 200)
        await until(lambda: sum(calls(live).values()) == 202, "all of it is written")
    assert {path.name for path in tmp_path.iterdir()} == {"gateway.toml", "calls.jsonl", closed.name}


# -- a collector ---------------------------------------------------------------------------------------------------


async def test_records_go_to_a_collector_and_to_a_file_beside_it(tmp_path: Path) -> None:
    with collector() as found:
        async with ScriptedUpstream() as up:
            text = to_collector(config(up.port, more=hold(), routes=POLLS), found.url, beside=True)
            async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
                for _ in range(3):
                    await raw.ask(get("/x"))
                records = await gw.records(3)
                await until(lambda: len(found.logs) == 3, "three log records")
    assert [attributes(made)["id"] for made in found.logs] == [record["id"] for record in records]
    assert [made.trace_id.hex() for made in found.logs] == [record["trace"] for record in records]


async def test_a_collector_that_says_nothing_keeps_neither_calls_nor_the_end_waiting(tmp_path: Path) -> None:
    with collector() as found:
        found.gate.clear()
        async with ScriptedUpstream() as up:
            with gateway_process(to_collector(process_config(up.port), found.url), tmp_path) as gw:
                async with client(gw.port) as raw:
                    for _ in range(50):
                        assert (await raw.ask(get())).status == 200
                await until(lambda: found.asked, "it was asked")
                gw.terminate()
                assert await gw.exit_code() == 0


async def test_what_a_collector_does_not_take_is_counted(tmp_path: Path) -> None:
    with collector() as found:
        found.status = 401
        async with ScriptedUpstream() as up, gateway(to_collector(config(up.port), found.url), tmp_path) as gw:
            async with client(gw.port) as raw:
                for _ in range(4):
                    assert (await raw.ask(get())).status == 200
            await until(lambda: gw.app._telemetry.log.dropped == 4)
            assert b"longpoll_log_lines_dropped_total 4" in (await gw.admin("/metrics"))[1]

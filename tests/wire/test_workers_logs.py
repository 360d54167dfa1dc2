"""The call log of several real workers: each call once, in files and on standard output, whoever served it, and all of
it can be asked for.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.kit.machines import Machine, machine, machine_config
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

CALLS = 60
LONG = "x" * 300


async def ask(gw: Machine, count: int) -> None:
    """Each on a connection of its own, with as much in its record as there may be."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        for number in range(count):
            query = "&".join(f"{LONG[:60]}{name}={number}" for name in range(30))
            async with http.get(f"http://127.0.0.1:{gw.port}/{LONG}?{query}") as answer:
                await answer.read()


def printed(gw: Machine) -> list[dict[str, Any]]:
    """Lines of records on standard output, among what the processes said."""
    return [json.loads(line) for line in gw.said().splitlines() if line.startswith("{")]


async def test_every_call_is_in_the_files_and_on_standard_output_once(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = machine_config(up.port, workers=3).replace('"file:calls.jsonl"', '["stdout", "file:calls.jsonl"]')
        with machine(text, tmp_path) as gw:
            await ask(gw, CALLS)
            records = gw.sync_records(CALLS)
            assert len({record["id"] for record in records}) == len(records) == CALLS
            assert len({record["worker"] for record in records}) > 1, "or it would prove nothing"
            await until(lambda: len(printed(gw)) == CALLS, "all are printed")
            assert {record["id"] for record in printed(gw)} == {record["id"] for record in records}
            pid = gw.kill(1)
            await until(lambda: (again := gw.workers.get(1)) is not None and again.pid != pid, "another worker 1")
            await gw.until_serving(3)
            await ask(gw, CALLS)
            gw.sync_records(2 * CALLS)
            assert sorted(path.name for path in tmp_path.glob("calls*.jsonl")) == [
                "calls.jsonl", "calls.w1.jsonl", "calls.w2.jsonl",
            ]  # fmt: skip
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"http://127.0.0.1:{gw.admin_port}/api/calls?limit=1000") as answer,
            ):
                found = (await answer.json())["calls"]
            assert len(found) == 2 * CALLS and found == sorted(found, key=lambda call: call["time"], reverse=True)
            assert {call["worker"] for call in found} == {record["worker"] for record in gw.sync_records(2 * CALLS)}
    command = [sys.executable, "-m", "gateway", "calls", "--log", str(gw.log), "--limit", "0", "--format", "jsonl"]
    asked = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(asked.stdout.splitlines()) == 2 * CALLS

"""`/api/calls`, `/api/trends` and `/api/advice` of a real gateway over its own call log: asked of a process that never
keeps a poll waiting, and answered with what `gateway calls` would say.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.polls import polling
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

PAGES = ["/api/calls", "/api/trends", "/api/advice"]
TO_STDOUT = 'calls = "stdout"'


async def ask(gw: InProcess, page: str) -> tuple[int, dict[str, Any]]:
    status, body = await gw.admin(page)
    found: dict[str, Any] = json.loads(body)
    return status, found


async def test_calls_that_are_over_are_found_by_what_they_were(tmp_path: Path) -> None:
    routes = route("a", "/a/**") + route("b", "/b/**")
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, routes=routes), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for path in ("/a/1", "/b/1", "/a/2", "/nowhere"):
            await raw.ask(get(path))
        records = await gw.records(4)
        status, found = await ask(gw, "/api/calls?route=a")
        assert status == 200
        assert {call["id"] for call in found["calls"]} == {records[2]["id"], records[0]["id"]}
        assert (found["more"], found["notes"]) == (False, [])
        _, some = await ask(gw, "/api/calls?outcome=answered&outcome=no_route&where=status%20%3C%20300&limit=2")
        assert (len(some["calls"]), some["more"]) == (2, True)
        _, trends = await ask(gw, "/api/trends?since=1h&by=route")
        assert {row["key"]: row["now"]["calls"] for row in trends["rows"]} == {"a": 2, "b": 1, None: 1}
        _, advice = await ask(gw, "/api/advice")
        assert advice["advice"] == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("/api/calls?rute=a", "rute: is no part of a question about calls; write some of "),
        ("/api/calls?log=/etc/passwd", "log: is not asked for here; leave it out"),
        ("/api/calls?memory=100GiB", "memory: is not asked for here; leave it out"),
        ("/api/calls?limit=x", "limit: is not a number from 1 to 1000"),
        ("/api/calls?limit=1001", "limit: is not a number from 1 to 1000"),
        ("/api/calls?where=1%3D1%3B%20DROP%20TABLE%20calls", "where: "),
        ("/api/calls?where=held%20%3E%20read_text('/etc/passwd')", "where: "),
        ("/api/trends?by=moon", "by: is none of hour, day, route, consumer, tenant"),
        ("/api/trends?since=yesterday", '"yesterday" is neither a duration nor a time; write such as "1h"'),
    ],
)  # fmt: skip
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_question_that_cannot_be_answered_is_told_why(tmp_path: Path, page: str, said: str) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.ask(get("/"))
        await gw.records(1)
        status, found = await ask(gw, page)
        assert status == 400
        assert found["error"].startswith(said)
        assert found.keys() == {"error"}


@pytest.mark.parametrize("page", PAGES)
async def test_without_a_file_there_is_nobody_to_ask(tmp_path: Path, page: str) -> None:
    text = config(1).replace('calls = "file:calls.jsonl"', TO_STDOUT)
    async with gateway(text, tmp_path) as gw:
        status, found = await ask(gw, page)
        assert status == 409
        assert found == {
            "error": 'no file has the calls of this gateway; write log.calls = "file:PATH" and start it again'
        }


async def test_the_token_is_needed_here_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", "an admin token of the tests")
    text = config(1).replace("[admin]", '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"')
    async with gateway(text, tmp_path) as gw:
        assert [(await ask(gw, page))[0] for page in PAGES] == [401] * 3


async def test_polls_end_and_begin_while_a_question_is_answered(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        await raw.send(get("/first"))
        await until(lambda: up.held == 1)
        up.publish()
        await raw.read_answer()
        await gw.records(1)
        asking = asyncio.ensure_future(ask(gw, "/api/calls"))
        turns = 0
        while not asking.done():
            async with polling(gw, get("/")) as (one,):
                await until(lambda: up.held == 1)
                up.publish()
                await one.read_answer()
            turns += 1
        assert (await asking)[0] == 200
        assert turns > 1, "polls went on meanwhile"


async def test_what_lies_in_the_working_directory_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "duckdb.py").write_text("open('run', 'w').close()")
    monkeypatch.chdir(folder)
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.ask(get("/"))
        await gw.records(1)
        status, found = await ask(gw, "/api/calls")
        assert (status, len(found["calls"])) == (200, 1)
        assert not (folder / "run").exists()


async def test_whoever_leaves_ends_the_question(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        await raw.ask(get("/"))
        await gw.records(1)
        async with client(gw.admin_port) as admin:
            await admin.send(get("/api/trends"))
        status, _ = await ask(gw, "/api/calls")
        assert status == 200, "and the next one has its turn"

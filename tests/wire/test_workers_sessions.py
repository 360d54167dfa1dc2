"""Sessions over two endpoints and several real workers: which of them takes a client's next connection is chance, and
the session goes to the endpoint where it began all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from gateway.state.lmdb_lock import Lock
from tests.kit.gateways import route
from tests.kit.machines import Machine, machine, machine_config

STICKY = 'balance = "sticky:query.sid"\nsticky = { id = "json:/sid" }'
SESSIONS = 12


class Server:
    """Begins sessions and serves its own, no others."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sessions: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        sid = request.query.get("sid")
        if sid is None:
            sid = f"{self.name}-{len(self.sessions)}"
            self.sessions.add(sid)
        return web.json_response({"sid": sid, "at": self.name}, status=200 if sid in self.sessions else 400)

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{tail:.*}", self.answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port: int = self.runner.addresses[0][1]


@asynccontextmanager
async def serving(*names: str) -> AsyncIterator[list[int]]:
    """Their ports."""
    servers = [Server(name) for name in names]
    for server in servers:
        await server.start()
    yield [server.port for server in servers]
    for server in servers:
        await server.runner.cleanup()


async def ask(gw: Machine, sid: str | None = None) -> tuple[int, Any]:
    """On a connection of its own."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{gw.port}/chat", params={"sid": sid} if sid else {}) as answer,
    ):
        return answer.status, await answer.json()


async def test_a_session_goes_to_its_endpoint_whichever_worker_gets_the_next_request(tmp_path: Path) -> None:
    async with serving("one", "other") as servers:
        text = machine_config(*servers, upstream=STICKY, routes=route("chat", "/chat", []), workers=3)
        with machine(text, tmp_path) as gw:
            homes = [(await ask(gw))[1] for _ in range(SESSIONS)]
            assert {home["at"] for home in homes} == {"one", "other"}
            for _ in range(4):
                for home in homes:
                    assert await ask(gw, home["sid"]) == (200, home)
            gw.sync_records(5 * SESSIONS)
            gw.kill(0)
            await gw.until_serving(3)
            for home in homes:
                assert await ask(gw, home["sid"]) == (200, home), "also where a worker was started again"
            records = gw.sync_records(6 * SESSIONS)
            assert len({record["worker"] for record in records}) > 1, "or it would prove nothing"
            assert not [record for record in records if record.get("note")]


async def test_a_note_that_cannot_be_had_is_counted_and_holds_up_nobody(tmp_path: Path) -> None:
    async with serving("one", "other") as servers:
        text = machine_config(*servers, upstream=STICKY, routes=route("chat", "/chat", []))
        with machine(text, tmp_path) as gw:
            assert await notes_failed(gw) == 0
            lock = Lock(gw.workers[0].directory / "notes" / "lock")
            lock.take()  # as a worker that was stopped
            assert (await ask(gw))[0] == 200
            assert await notes_failed(gw) > 0
            lock.close()
            failed = await notes_failed(gw)
            for _ in range(SESSIONS):
                status, home = await ask(gw)
                assert (status, await ask(gw, home["sid"])) == (200, (200, home))
            assert await notes_failed(gw) == failed


async def notes_failed(gw: Machine) -> int:
    _, page = await gw.admin("/metrics")
    (line,) = [line for line in page.decode().splitlines() if line.startswith("longpoll_notes_failed_total ")]
    return int(line.split()[1])

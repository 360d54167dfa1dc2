"""Socket.IO over polling: python-socketio's server and client with a gateway process between them. The hold is agreed
in the handshake, a lost poll breaks the session, and no two polls of a session may ever meet at the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
import socketio
from aiohttp import web

from tests.kit.gateways import SIGNED_IN, Process, Record, bearer, gateway_process, process_config, route, token
from tests.kit.raw import client, get
from tests.kit.strict import Message
from tests.kit.waiting import LIMIT, until

from .tap import Tap, tapped

ITEMS = 20
BURST = 10  # the client takes no more than 16 packets in one answer
QUICK, QUIET = 1.0, 20.0  # ping intervals, seconds: one that a test can see pass, one that it never will


class Service:
    """A Socket.IO server that publishes items and repeats what it is told."""

    def __init__(self, ping_interval: float) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp", ping_interval=ping_interval, ping_timeout=10)
        self.sio.on("echo", lambda sid, number: number)
        self.sio.on("disconnect", lambda sid, reason: self.ended.append(reason))
        self.ended: list[str] = []

    async def publish(self, item: int) -> None:
        await self.sio.emit("item", item)


@contextlib.asynccontextmanager
async def serving(ping_interval: float) -> AsyncIterator[tuple[Service, Tap]]:
    service, app = Service(ping_interval), web.Application()
    service.sio.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with tapped(runner.addresses[0][1]) as tap:
            tap.watched = is_poll
            yield service, tap
    finally:
        await service.sio.shutdown()
        await runner.cleanup()


class Page:
    """A client with one session: the items it got, and why it ended."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.http = http
        self.items: list[int] = []
        self.sio = socketio.AsyncClient(http_session=http, reconnection=False, handle_sigint=False)
        self.sio.on("item", self.items.append)

    async def echo(self, number: int) -> int:
        return int(await self.sio.call("echo", number))


@contextlib.asynccontextmanager
async def page(gw: Process, where: str = "header", transports: Sequence[str] = ("polling",)) -> AsyncIterator[Page]:
    """A connected client that shows its token in that place with every request. (What `connect` itself can be given
    as headers, the library sends with the handshake alone.)"""
    headers = {"Authorization": f"Bearer {token()}"} if where == "header" else {}
    cookies = {"token": token()} if where == "cookie" else {}
    query = f"?access_token={token()}" if where == "query" else ""
    async with aiohttp.ClientSession(headers=headers, cookies=cookies) as http:
        one = Page(http)
        await one.sio.connect(f"http://127.0.0.1:{gw.port}{query}", transports=list(transports))
        yield one
    await until(lambda: not one.sio.connected, "the end of the session")


def before(tap: Tap) -> str:
    places = 'from = ["header:Authorization", "cookie:token", "query:access_token"]\n'
    routes = route("chat", "/socket.io/", ["engineio", "signed-in"])
    return process_config(tap.port, more=SIGNED_IN.replace("[policy.", places + "[policy.", 1), routes=routes)


def is_poll(request: Message) -> bool:
    return request.method == "GET" and "sid=" in request.target


async def held(tap: Tap) -> str:
    """The session whose poll is at the server, once one is."""
    await until(lambda: tap.holds(is_poll) == 1, "a poll at the server")
    found = re.search(r"[?&]sid=([^&]+)", next(one for one in tap.held if is_poll(one)).target)
    assert found
    return found[1]


def polls(gw: Process, outcome: str) -> list[Record]:
    return [one for one in gw.sync_records(0) if one.get("dialect") == "engineio" and one["outcome"] == outcome]


async def test_an_idle_poll_is_held_for_the_ping_interval_of_its_handshake(tmp_path: Path) -> None:
    async with serving(QUICK) as (service, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with page(gw) as one:
                idle = await until(lambda: len(found := polls(gw, "empty")) >= 2 and found, "two pings")
                assert one.sio.connected and not service.ended
    assert {(record["hold_asked"], record["hold_granted"]) for record in idle} == {(QUICK, QUICK)}
    assert max(record["held"] for record in idle) >= QUICK / 2
    assert tap.most_held == 1


@pytest.mark.parametrize("where", ["header", "query", "cookie"])
async def test_twenty_items_arrive_once_each_and_long_before_the_hold_would_end(tmp_path: Path, where: str) -> None:
    async with serving(QUIET) as (service, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with page(gw, where) as one:
                for item in range(ITEMS):
                    await held(tap)
                    await service.publish(item)
                    await until(lambda item=item: len(one.items) > item, f"item {item}")
                    assert await one.echo(item) == item
                for item in range(ITEMS, ITEMS + BURST):
                    await service.publish(item)
                await until(lambda: len(one.items) >= ITEMS + BURST, "the burst")
                assert one.items == list(range(ITEMS + BURST))
                assert not service.ended
            news = await until(lambda: len(found := polls(gw, "news")) >= ITEMS and found, "their records")
    assert max(record["held"] for record in news) < QUIET / 2
    assert tap.most_held == 1
    assert {record.get("consumer") for record in news} == {"alice"}
    assert not [one for one in tap.requests if token().split(".")[0] in one.target + str(one.headers)]


async def test_a_client_that_would_rather_have_a_websocket_stays_on_polling(tmp_path: Path) -> None:
    async with serving(QUIET) as (service, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with page(gw, transports=["polling", "websocket"]) as one:
                assert one.sio.transport() == "polling"
                await service.publish(0)
                await until(lambda: one.items == [0], "the item")


async def test_a_page_that_is_closed_is_noticed_by_the_server_at_once(tmp_path: Path) -> None:
    async with serving(QUIET) as (_, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with page(gw) as one:
                await held(tap)
                await one.http.close()
                await until(lambda: any(map(is_poll, tap.left)), "the poll ended at the server")
                (record,) = await until(lambda: polls(gw, "client_gone"), "its record")
                assert (record["hold_asked"], record["blame"]) == (QUIET, "downstream")


async def test_a_second_poll_of_a_session_is_kept_back_and_the_session_survives(tmp_path: Path) -> None:
    async with serving(QUIET) as (service, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with page(gw) as one, client(gw.port) as other:
                session = await held(tap)
                target = f"/socket.io/?transport=polling&EIO=4&sid={session}"
                await other.send(get(target, bearer()))
                await until_waiting(gw)
                await service.publish(0)
                await until(lambda: one.items == [0], "the first poll's news")
                await until_waiting(gw)  # the page's next poll, behind the other one
                await held(tap)
                await service.publish(1)
                assert b'42["item",1]' in (await other.read_answer()).body
                await held(tap)
                await service.publish(2)
                await until(lambda: one.items == [0, 2], "the session is alive")
                assert one.sio.connected and not service.ended
    assert tap.most_held == 1


async def until_waiting(gw: Process) -> None:
    async with asyncio.timeout(LIMIT):
        while "waiting" not in [call["state"] for call in await gw.held()]:
            await asyncio.sleep(0.02)


async def test_a_session_without_a_token_does_not_begin(tmp_path: Path) -> None:
    async with serving(QUIET) as (_, tap):
        with gateway_process(before(tap), tmp_path) as gw:
            async with aiohttp.ClientSession() as http:
                sio = socketio.AsyncClient(http_session=http, reconnection=False, handle_sigint=False)
                with pytest.raises(socketio.exceptions.ConnectionError):
                    await sio.connect(f"http://127.0.0.1:{gw.port}", transports=["polling"])
    assert tap.requests == []

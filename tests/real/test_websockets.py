"""The `websockets` client and its echo server with a whole gateway between them, in a process of its own: JWT, caps,
subprotocols, compression, large messages, pings, the call log, and a drain that the client sees as "going away".
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

from tests.kit.gateways import SIGNED_IN, Process, gateway_process, process_config, route, token
from tests.kit.waiting import soon, until

PAGE = "https://app.example.com"
POLICY = f"""
[policy.ws.websocket]
origins = ["{PAGE}"]
subprotocols = ["chat.v2"]
[[policy.ws.hold_cap]]
max = 2
"""
ROUTES = route(policies=["signed-in", "ws"])


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@contextlib.asynccontextmanager
async def server() -> AsyncIterator[Server]:
    async with serve(echo, "127.0.0.1", 0, subprotocols=[Subprotocol("chat.v1"), Subprotocol("chat.v2")],
                     max_size=2**24) as running:  # fmt: skip
        yield running


def port_of(running: Server) -> int:
    return int(next(iter(running.sockets)).getsockname()[1])


@contextlib.asynccontextmanager
async def stage(folder: Path, drain: str = "20s") -> AsyncIterator[tuple[Process, Server]]:
    async with server() as running:
        text = process_config(port_of(running), more=SIGNED_IN + POLICY, routes=ROUTES, server=f'drain = "{drain}"')
        with gateway_process(text, folder) as process:
            yield process, running


def dial(
    gw: Process, who: str = "alice", origin: str | None = PAGE, protocols: tuple[str, ...] = ("chat.v2",)
) -> connect:
    return connect(
        f"ws://127.0.0.1:{gw.port}/chat?room=7", origin=Origin(origin) if origin else None, max_size=2**24,
        subprotocols=[Subprotocol(each) for each in protocols], proxy=None,
        additional_headers={"Authorization": f"Bearer {token(who)}"} if who else {},
    )  # fmt: skip


async def test_messages_of_every_size_and_kind_come_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as (gw, running):
        async with dial(gw) as ws:
            for size in (0, 1, 125, 126, 65535, 65536, 3_000_000):
                for message in ("x" * size, os.urandom(size)):
                    await ws.send(message)
                    assert await soon(ws.recv()) == message
            await ws.send(iter([b"in ", b"several ", b"pieces"]))
            assert await soon(ws.recv()) == b"in several pieces"
            await soon(await ws.ping())
            assert ws.subprotocol == "chat.v2"
            seen = next(iter(running.connections)).request
            assert seen is not None
            assert "Authorization" not in seen.headers
            assert seen.headers["Sec-WebSocket-Protocol"] == "chat.v2"
        record = (await gw.records(1))[0]
        assert (record["outcome"], record["status"], record["consumer"]) == ("tunnelled", 101, "alice")
        assert (record["path"], record["query"]) == ("/chat", ["room"])
        assert record["bytes_in"] > 3_000_000 < record["bytes_out"]  # noise cannot be compressed, the rest is


async def test_a_code_and_reason_of_either_side_reach_the_other(tmp_path: Path) -> None:
    async with stage(tmp_path) as (gw, running):
        async with dial(gw) as ws:
            there = await until(lambda: next(iter(running.connections), None))
            await there.close(4000, "enough")
            with pytest.raises(ConnectionClosed):
                await soon(ws.recv())
            assert (ws.close_code, ws.close_reason) == (4000, "enough")
        async with dial(gw) as ws:
            there = await until(lambda: next(iter(running.connections), None))
            await ws.close(4001, "mine")
            await soon(there.wait_closed())
            assert (there.close_code, there.close_reason) == (4001, "mine")
        assert [record["outcome"] for record in await gw.records(2)] == ["tunnelled"] * 2


async def refused(attempt: connect) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await soon(attempt.__aenter__())
    return caught.value.response.status_code


async def test_who_may_not_is_told_why_in_http(tmp_path: Path) -> None:
    async with stage(tmp_path) as (gw, running):
        assert await refused(dial(gw, who="")) == 401
        assert await refused(dial(gw, origin="http://app.example.com")) == 403
        assert await refused(dial(gw, protocols=("chat.v1",))) == 400
        async with dial(gw), dial(gw), dial(gw, who="bob"):
            assert await refused(dial(gw)) == 429
            assert len(running.connections) == 3
        async with dial(gw) as ws:
            assert ws.subprotocol == "chat.v2"
        outcomes = [record["outcome"] for record in await gw.records(8)]
        assert outcomes[:4] == ["unauthenticated", "forbidden", "bad_request", "capped"]
        assert outcomes[4:] == ["tunnelled"] * 4


async def test_a_drain_is_going_away_to_both_sides_and_no_message_is_cut(tmp_path: Path) -> None:
    """Each client is in the midst of its messages; what it has of them is whole."""

    async def talk(ws: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for number in range(1_000_000):
                message = bytes([number % 256]) * 70_000
                await ws.send(message)
                assert await ws.recv() == message

    async with stage(tmp_path, drain="2s") as (gw, running):
        clients = [await dial(gw, who=f"user-{number}").__aenter__() for number in range(6)]
        talks = [asyncio.create_task(talk(ws)) for ws in clients]
        there = list(running.connections)
        await asyncio.sleep(0.1)
        gw.terminate()
        await soon(asyncio.gather(*talks))
        assert [ws.close_code for ws in clients] == [1001] * 6
        await soon(asyncio.gather(*(each.wait_closed() for each in there)))
        assert [each.close_code for each in there] == [1001] * 6
        assert await gw.exit_code() == 0
        assert [record["outcome"] for record in await gw.records(6)] == ["drained"] * 6

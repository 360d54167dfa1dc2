"""The end of a gateway for who is between two calls, for what outlasts the window, and for who asks for it twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.app import BETWEEN_POLLS
from gateway.edge.phase import Phase
from tests.kit.gateways import config, gateway, read_records
from tests.kit.raw import connect, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

from .test_life import LONG, SHORT, leave, listening, park, polls


@pytest.mark.usefixtures("halfway")
async def test_a_draining_gateway_waits_a_moment_for_who_was_just_answered_and_no_longer(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **polls()), tmp_path) as gw:
        silent, torn = await connect(gw.port), await connect(gw.port)
        await torn.send(get()[:-2])
        await until(lambda: sorted(each._phase for each in gw.app._edge.connections) == [Phase.IDLE, Phase.HEAD])
        draining = asyncio.create_task(gw.app.drain())
        assert await silent.closed()
        assert not draining.done(), "a request that has begun to come is waited for"
        await torn.send(b"\r\n")
        await until(lambda: up.held == 1)
        up.publish(b"[7]")
        found = await torn.read_answer()
        assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[7]", "close")
        await soon(draining)
        await leave([silent, torn])


@pytest.mark.usefixtures("halfway")
async def test_a_connection_between_two_calls_has_its_moment_late_in_the_drain_too(tmp_path: Path) -> None:
    """Counted from the last call that was under way, not from the beginning."""
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **polls()), tmp_path) as gw:
        idle = await connect(gw.port)
        (held,) = await park(gw.port, up, 1)
        draining = asyncio.create_task(gw.app.drain())
        await until(lambda: not listening(gw.port))
        await asyncio.sleep(BETWEEN_POLLS + 0.05)
        up.publish(b"[7]")
        assert (await held.read_answer()).status == 200
        await asyncio.sleep(0.05)  # far longer than a gateway that will not wait goes on
        await idle.send(get())
        await until(lambda: up.held == 1)
        up.publish(b"[8]")
        assert bytes((await idle.read_answer()).body) == b"[8]"
        await soon(draining)
        await leave([idle, held])


async def test_what_is_still_under_way_when_the_window_is_over_is_cut(tmp_path: Path) -> None:
    server = f'{SHORT}\nheader_timeout = "60s"'
    async with HoldingUpstream() as up, gateway(config(up.port, server=server, **polls()), tmp_path) as gw:
        torn = await connect(gw.port)
        await torn.send(get()[:-2])
        await soon(gw.app.drain())
        assert await torn.closed()
        await torn.close()


async def test_a_drain_that_is_asked_for_again_does_not_begin_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **polls()), tmp_path) as gw:
        (held,) = await park(gw.port, up, 1)
        for _ in range(2):
            gw.app.begin_drain()
        await until(lambda: not listening(gw.port))
        ends = [call["ends_in"] for call in await gw.held()]
        await soon(gw.app.drain())
        assert [call["ends_in"] <= ends[0] for call in await gw.held()] == [True]
        assert [record.message for record in caplog.records].count("draining for at most 300s") == 1
        up.publish()
        assert (await held.read_answer()).status == 200
        await soon(gw.app.wait_stopped())
        await leave([held])


async def test_who_asks_for_the_end_again_has_it_too_when_that_returns(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **polls()), tmp_path) as gw:
        clients = await park(gw.port, up, 10)
        first = asyncio.create_task(gw.app.stop())
        await asyncio.sleep(0)
        await gw.app.stop()
        assert len(read_records(gw.log)) == 10, "the log is written out"
        await soon(first)
        await leave(clients)

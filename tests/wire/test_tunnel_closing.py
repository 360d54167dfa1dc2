"""Ends of tunnels that meet with others: who does not answer, does not finish, or was at an end already."""

from __future__ import annotations

import random
from pathlib import Path
from typing import cast

import pytest

from gateway.edge import tunnel
from gateway.edge.tunnel import Tunnel
from tests.kit.gateways import config, gateway, route
from tests.kit.raw import client
from tests.kit.tunnels import WEBSOCKET, FarEnd, closing, frame, opened, taken, unmasked
from tests.kit.waiting import until

ROUTES = route(policies=["ws"])
DRAIN = 'drain = "20s"'


def text(port: int, policy: str = "", routes: str = ROUTES, more: str = "", server: str = "") -> str:
    return config(port, more=f"{WEBSOCKET}{policy}\n{more}", routes=routes, server=server)


async def test_who_does_not_answer_a_close_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "CLOSING", 0.3)
    async with FarEnd() as up, gateway(text(up.port, 'max_time = "100ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        await taken(raw, closing(1001))
        await raw.closed()
        assert raw.reset_by is not None
        await until(lambda: far.over)
        record = await gw.record()
    assert record["outcome"] == "tunnelled"


async def test_a_frame_that_never_ends_is_cut_off_and_no_close_is_said_in_its_midst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tunnel, "CLOSING", 0.3)
    half = frame(b"x" * 500)[:100]
    async with FarEnd() as up, gateway(text(up.port, 'max_time = "200ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        (await up.far()).send(half)
        await taken(raw, half)
        await raw.closed()
        assert raw.reset_by is not None
        assert raw.left == b""
        await gw.record()


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_who_has_shut_its_side_without_a_word_is_still_told_and_the_other_hears_no_more(
    tmp_path: Path, first: str
) -> None:
    async with FarEnd() as up, gateway(text(up.port, 'max_time = "400ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        if first == "client":
            raw.half_close()
            await until(lambda: far.eof)
            await taken(raw, closing(1001))
        else:
            far.writer.write_eof()
            assert await raw.closed()
            await until(lambda: len(far.got) == 8)
            assert unmasked(far.got) == (1001).to_bytes(2, "big")
        await raw.close()
        far.writer.close()
        record = await gw.record()
    assert (record["outcome"], record["note"]) == ("tunnelled", "max_time")
    assert first == "upstream" or far.got == b""


async def test_one_that_is_ending_by_itself_is_not_ended_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is gone, and the upstream still has to take what was left for it, when a drain begins."""
    monkeypatch.setattr(random, "random", lambda: 0.0)
    async with FarEnd() as up, gateway(text(up.port, server=DRAIN), tmp_path) as gw:
        async with client(gw.port) as raw:
            await opened(raw)
            far = await up.far()
            far.reads.clear()
            call = next(iter(gw.app._edge.connections)).call
            assert call is not None
            pipe = cast(Tunnel, call.up)
            raw.writer.write(frame(b"x" * 8_000_000, masked=True))
            await until(lambda: not pipe.client.transport.is_reading(), "the upstream takes no more")
            raw.reset()
            far.reads.set()
            await until(lambda: pipe.client.gone)
            call.serve.on_evict(call)
        await until(lambda: far.over)
        assert (await gw.record())["outcome"] in ("client_gone", "evicted")


async def test_a_close_that_is_under_way_is_not_said_twice(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port, 'max_time = "300ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        await raw.send(closing(1000, masked=True))
        await until(lambda: far.got == closing(1000, masked=True))
        await taken(raw, closing(1001))  # only who has not heard it yet
        assert await raw.closed()
        assert far.got == closing(1000, masked=True)
        far.send(closing(1000))
        far.writer.close()
        assert (await gw.record())["outcome"] == "tunnelled"

"""How the gateway ends a tunnel: what bounds its time, what makes room and what stops the process all say so in a Close
frame between two frames, to both sides, and give them a moment to answer. Nothing that was cut off looks like an end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.clock import Clock
from tests.kit.gateways import SIGNED_IN, InProcess, config, gateway, route, token
from tests.kit.polls import end
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.tunnels import WEBSOCKET, Far, FarEnd, ask, closing, frame, head_of, opened, taken, unmasked
from tests.kit.waiting import soon, until

ROUTES = route(policies=["ws"])
DRAIN = 'drain = "20s"'


def text(port: int, policy: str = "", routes: str = ROUTES, more: str = "", server: str = "") -> str:
    return config(port, more=f"{WEBSOCKET}{policy}\n{more}", routes=routes, server=server)


async def said_to_client(raw: RawClient, code: int) -> None:
    """The client is told, answers, and then sees the end of the connection."""
    await taken(raw, closing(code))
    await raw.send(closing(code, masked=True))
    assert await raw.closed()
    assert raw.reset_by is None


async def said_to_upstream(far: Far, code: int, behind: bytes = b"") -> None:
    """The upstream is told in a masked frame; it answers and closes, as a server does (RFC 6455 7.1.1)."""
    await until(lambda: len(far.got) >= len(behind) + 8)
    assert far.got[: len(behind)] == behind
    said = far.got[len(behind) :]
    assert (said[:2], len(said)) == (b"\x88\x82", 8)
    assert unmasked(said) == code.to_bytes(2, "big")
    far.send(closing(code))
    far.writer.close()


async def ended(raw: RawClient, far: Far, code: int) -> None:
    await asyncio.gather(said_to_client(raw, code), said_to_upstream(far, code))


async def test_a_tunnel_in_which_nothing_passes_ends(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port, 'idle_timeout = "300ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        for _ in range(4):  # what passes in either direction keeps it
            await raw.send(frame(b"ping", masked=True))
            await asyncio.sleep(0.1)
            far.send(frame(b"pong"))
            await asyncio.sleep(0.1)
        await taken(raw, frame(b"pong") * 4)
        far.got = b""
        await ended(raw, far, 1001)
        record = await gw.record()
    assert (record["outcome"], record["note"]) == ("tunnelled", "idle")
    assert record["took"] > 0.8


async def test_a_tunnel_lasts_no_longer_than_it_may(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port, 'max_time = "200ms"'), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        await ended(raw, await up.far(), 1001)
        record = await gw.record()
    assert (record["outcome"], record["note"]) == ("tunnelled", "max_time")
    assert record["work"] < record["took"]


async def test_a_tunnel_ends_with_its_token(tmp_path: Path) -> None:
    exp = 4_000_000_000
    who = f"Authorization: Bearer {token(exp=exp, iat=1)}"
    routes = route(policies=["signed-in", "ws"])
    clock = Clock(wall=lambda: exp + 30.0 - 0.2)
    async with FarEnd() as up, gateway(text(up.port, routes=routes, more=SIGNED_IN), tmp_path, clock) as gw:
        async with client(gw.port) as raw:
            await opened(raw, "/", who)
            far = await up.far()
            assert far.fields("Authorization") == []
            await ended(raw, far, 1008)
        record = await gw.record()
    assert (record["outcome"], record["consumer"]) == ("expired", "alice")


@dataclass
class Stage:
    gw: InProcess
    raw: RawClient
    far: Far


async def drained(stage: Stage) -> None:
    stage.gw.app.begin_drain()  # and each draws the first instant of the window


async def ended_by_hand(stage: Stage) -> None:
    assert await end(stage.gw, state="tunnelling") == {"ended": 1, "not_endable": 0}


async def revoked(stage: Stage) -> None:
    call = next(iter(stage.gw.app._edge.connections)).call
    assert call is not None
    stage.gw.app._serve.on_revoked(call)


async def route_gone(stage: Stage) -> None:
    file = stage.gw.app.path
    file.write_text(file.read_text().replace('name = "all"', 'name = "other"'))
    assert await stage.gw.app.reload() == []


ENDS: dict[str, tuple[Callable[[Stage], Awaitable[None]], int, str]] = {
    "drained": (drained, 1001, "drained"),
    "ended by hand": (ended_by_hand, 1001, "evicted"),
    "revoked": (revoked, 1008, "revoked"),
    "its route is gone": (route_gone, 1001, "drained"),
}


@pytest.mark.parametrize("why", ENDS)
@pytest.mark.parametrize("cut", [1, 2, 3, 9, 70001])
async def test_the_end_is_said_between_two_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, cut: int
) -> None:
    """A frame is in the midst of passing in each direction; what is behind it does not pass any more."""
    monkeypatch.setattr(random, "random", lambda: 0.0)
    begin, code, outcome = ENDS[why]
    down, up_ = frame(b"d" * 70000), frame(b"u" * 70000, masked=True)
    async with FarEnd() as up, gateway(text(up.port, server=DRAIN), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        await raw.send(up_[:cut])
        far.send(down[:cut])
        await taken(raw, down[:cut])
        await until(lambda: far.got == up_[:cut])
        await soon(begin(Stage(gw, raw, far)))
        call = next(iter(gw.app._edge.connections)).call
        assert call is not None
        await until(lambda: getattr(call.up, "closing", True))
        await raw.send(up_[cut:] + frame(b"too late", masked=True))
        far.send(down[cut:] + frame(b"too late"))
        await taken(raw, down[cut:])
        await asyncio.gather(said_to_client(raw, code), said_to_upstream(far, code, up_))
        record = await gw.record()
    assert (record["outcome"], record["status"]) == (outcome, 101)


async def test_what_ended_a_tunnel_first_is_what_its_record_says(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port), tmp_path) as gw, client(gw.port) as raw:
        await opened(raw)
        far = await up.far()
        stage = Stage(gw, raw, far)
        await ended_by_hand(stage)
        await revoked(stage)
        await ended(raw, far, 1001)
        record = await gw.record()
    assert (record["outcome"], record["note"]) == ("evicted", "by operator")


async def test_tunnels_end_spread_over_the_window_of_a_drain(tmp_path: Path) -> None:
    """Each in its own instant, and the gateway is gone when all are."""
    server = 'drain = "3s"'
    async with FarEnd() as up, gateway(text(up.port, server=server), tmp_path) as gw:
        clients = [await connect(gw.port) for _ in range(8)]
        for raw in clients:
            await opened(raw)
        fars = [await up.far(number) for number in range(8)]
        gw.app.begin_drain()
        await until(lambda: gw.app._serve.draining is not None)
        dues = sorted(conn.call.deadline for conn in gw.app._edge.connections if conn.call is not None)
        assert dues[-1] - dues[0] > 0.2
        await asyncio.gather(
            *(said_to_client(raw, 1001) for raw in clients), *(said_to_upstream(f, 1001) for f in fars)
        )
        await soon(gw.app.wait_stopped())
        assert {record["outcome"] for record in await gw.records(8)} == {"drained"}
        for raw in clients:
            await raw.close()


async def test_nobody_is_let_in_to_a_tunnel_while_draining(tmp_path: Path) -> None:
    async with FarEnd() as up, gateway(text(up.port, server='drain = "5s"'), tmp_path) as gw:
        async with client(gw.port) as raw, client(gw.port) as other:
            await opened(raw)
            await until(lambda: len(gw.app._edge.connections) == 2)
            gw.app.begin_drain()
            await until(lambda: gw.app._serve.draining is not None)
            answer = await other.ask(ask())
            assert (answer.status, answer.one("Connection")) == (503, "close")
            assert int(answer.one("Retry-After") or 0) >= 1
        assert len(up.all) == 1


async def test_another_protocol_has_no_word_for_the_end_and_is_cut_off(tmp_path: Path) -> None:
    said = b"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    policy = 'upgrades = ["tcp"]\nmax_time = "200ms"'
    async with FarEnd(said) as up, gateway(text(up.port, policy), tmp_path) as gw, client(gw.port) as raw:
        await raw.send(get("/", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
        assert (await head_of(raw)).startswith(b"HTTP/1.1 101 ")
        far = await up.far()
        await raw.closed()
        assert raw.reset_by is not None
        await until(lambda: far.over)
        assert far.got == b""
        assert (await gw.record())["outcome"] == "tunnelled"


async def test_the_oldest_tunnel_makes_room_where_a_cap_says_so(tmp_path: Path) -> None:
    cap = '[[policy.ws.hold_cap]]\nmax = 1\nper = "route"\non_excess = "evict-oldest"\nevict_grace = "0s"\n'
    async with (
        FarEnd() as up,
        gateway(text(up.port, more=cap), tmp_path) as gw,
        client(gw.port) as raw,
        client(gw.port) as other,
    ):
        await opened(raw)
        far = await up.far()
        await opened(other)
        await ended(raw, far, 1008)
        record = await gw.record()
        assert (record["outcome"], str(record["note"])[:4]) == ("evicted", "for ")
        second = await up.far(1)
        second.send(frame(b"still here"))
        await taken(other, frame(b"still here"))

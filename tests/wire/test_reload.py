"""Reloading: what is new counts at once for what begins from now on, what is held goes on, what was counted stays
counted, and a file with a problem changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.upstream.endpoint import Endpoint
from tests.kit.gateways import (
    InProcess,
    config,
    gateway,
    gateway_process,
    hold,
    process_config,
    route,
)
from tests.kit.raw import RawClient, client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

POLLS = {"more": hold(), "routes": route(policies=["poll"])}
QUICK = 'drain = "200ms"'


async def reload(gw: InProcess, text: str) -> list[str]:
    """Writes the file anew and reloads it; the problems."""
    gw.app.path.write_text(text.replace("file:calls.jsonl", f"file:{gw.log}"), "utf-8")
    return await soon(gw.app.reload())


async def parked(gw: InProcess, up: HoldingUpstream, target: str = "/", method: str = "GET") -> RawClient:
    raw, before = await connect(gw.port), up.held
    await raw.send(get(target, method=method))
    await until(lambda: up.held == before + 1)
    return raw


async def test_a_new_route_is_served_and_parked_polls_are_untouched(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLLS), tmp_path) as gw:
        held = [await parked(gw, up) for _ in range(20)]
        routes = POLLS["routes"] + route("new", "/new", match='methods = ["POST"]')
        assert await reload(gw, config(up.port, more=POLLS["more"], routes=routes)) == []
        assert [one["name"] for one in json.loads((await gw.admin("/api/routes"))[1])["routes"]] == ["all", "new"]
        new = await parked(gw, up, "/new", "POST")
        assert up.publish(b"[7]") >= 20
        for raw in held:
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[7]", None)
            await raw.close()
        assert (await new.read_answer()).status == 200
        assert {record["route"] for record in await gw.records(21)} == {"all", "new"}
        await new.close()


async def test_polls_of_a_removed_route_end_as_in_a_drain_and_others_do_not(tmp_path: Path) -> None:
    both = route("goes", "/goes", ["poll"]) + route("stays", "/stays", ["poll"])
    text = config(1, server=QUICK, more=hold(), routes=both)
    async with HoldingUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        goes, stays = [await parked(gw, up, "/goes") for _ in range(10)], await parked(gw, up, "/stays")
        left = config(up.port, server=QUICK, more=hold(), routes=route("stays", "/stays", ["poll"]))
        assert await reload(gw, left) == []
        for raw in goes:
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[]", "close")
            await raw.close()
        assert [record["outcome"] for record in await gw.records(10)] == ["drained"] * 10
        assert up.publish(b"[7]") == 1
        assert (await stays.read_answer()).status == 200
        assert (await stays.ask(get("/goes"))).status == 404
        await stays.close()


async def test_an_ordinary_call_of_a_removed_route_finishes(tmp_path: Path) -> None:
    both = route("goes", "/goes") + route("polls", "/polls", ["poll"])
    text = config(1, server=QUICK, more=hold(), routes=both)
    async with HoldingUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        call, poll = await parked(gw, up, "/goes", "POST"), await parked(gw, up, "/polls")
        assert await reload(gw, config(up.port, server=QUICK)) == []
        assert bytes((await poll.read_answer()).body) == b"[]"
        await asyncio.sleep(0.3)  # the rest of the window
        up.publish(b"[7]")
        assert bytes((await call.read_answer()).body) == b"[7]"
        for raw in (call, poll):
            await raw.close()


async def test_polls_of_a_removed_route_end_spread_over_the_window_of_the_new_configuration(tmp_path: Path) -> None:
    more = hold(absent='"1000s"', max='"1000s"')
    text = config(1, server=QUICK, more=more, routes=route("goes", "/goes", ["poll"]))
    async with HoldingUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        raws = [await parked(gw, up, "/goes") for _ in range(20)]
        assert await reload(gw, config(up.port, server='drain = "300s"\nstop_grace = "600s"')) == []
        ends = [call["ends_in"] for call in await gw.held()]
        assert len(ends) == 20 and 20 < max(ends) <= 240 and max(ends) - min(ends) > 20
        assert up.publish(b"[7]") == 20
        for raw in raws:
            assert bytes((await raw.read_answer()).body) == b"[7]", "news goes on until then"
            await raw.close()


@pytest.mark.parametrize("who", ["origin", "never"])
async def test_a_removed_route_whose_polls_may_not_be_answered_here(tmp_path: Path, who: str) -> None:
    more = hold(empty=f'{{ answer = "{who}" }}', replay='"destructive"')
    text = config(1, server=QUICK, more=more, routes=route("goes", "/goes", ["poll"]))
    async with HoldingUpstream() as up, gateway(text.replace(':1"', f':{up.port}"'), tmp_path) as gw:
        polls = [await parked(gw, up, "/goes") for _ in range(20)]
        assert await reload(gw, config(up.port, server=QUICK)) == []
        answers = [one for raw in polls for one in await raw.read_all()]
        assert [one.status for one in answers] == ([503] * 20 if who == "origin" else [])
        waits = {int(one.one("Retry-After") or 0) for one in answers}
        assert not waits or (min(waits) >= 1 and len(waits) > 1), "they do not come back together"
        assert [record["outcome"] for record in await gw.records(20)] == ["drained"] * 20
        await until(lambda: up.live == 0)
        for raw in polls:
            await raw.close()


async def test_endpoints_come_and_go_without_touching_what_they_hold(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as old,
        HoldingUpstream() as new,
        gateway(config(old.port, **POLLS), tmp_path) as gw,
    ):
        raw = await parked(gw, old)
        assert await reload(gw, config(new.port, **POLLS)) == []
        late = await parked(gw, new)
        assert (old.held, new.held) == (1, 1)
        assert [old.publish(b"[1]"), new.publish(b"[2]")] == [1, 1]
        assert [bytes((await one.read_answer()).body) for one in (raw, late)] == [b"[1]", b"[2]"]
        await until(lambda: old.live == 0, "the connection to an endpoint that is gone is not kept")
        assert new.live == 1
        for one in (raw, late):
            await one.close()


async def test_idle_connections_of_an_endpoint_that_stays_are_used_again(tmp_path: Path) -> None:
    async with (
        ScriptedUpstream() as up,
        ScriptedUpstream() as other,
        gateway(config(up.port), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        assert (await raw.ask(get())).status == 200
        text = config(up.port, other.port, upstream='balance = "round-robin"\nmax_held = 5')
        assert await reload(gw, text) == []
        assert [(await raw.ask(get())).status for _ in range(2)] == [200, 200]
        assert (len(up.requests), len(other.requests)) == (2, 1)
        assert len(up.peers) == 1


async def test_a_hundred_reloads_under_load_lose_nothing(tmp_path: Path) -> None:
    """Neither calls that come and go meanwhile nor polls that are held all the while."""
    polls = route("held", "/held", ["poll"]).replace('"up"', '"held"')
    async with HoldingUpstream() as held_by, ScriptedUpstream() as up:
        more = (
            hold(absent='"1000s"', max='"1000s"')
            + f'[upstream.held]\nendpoints = ["http://127.0.0.1:{held_by.port}"]\n'
        )
        async with gateway(config(up.port, more=more, routes=route() + polls), tmp_path) as gw:
            held = [await parked(gw, held_by, "/held") for _ in range(10)]
            await reload_often(gw, lambda odd: config(up.port, more=more, routes=route() + polls + odd))
            assert held_by.publish(b"[7]") == 10
            for raw in held:
                assert bytes((await raw.read_answer()).body) == b"[7]"
                await raw.close()


async def reload_often(gw: InProcess, text: Callable[[str], str]) -> None:
    """A hundred times, a route coming and going each time, while four clients ask without end."""
    stop, seen = asyncio.Event(), list[int]()

    async def probe() -> None:
        async with client(gw.port) as raw:
            while not stop.is_set():
                seen.append((await raw.ask(get())).status)

    async with probing(probe, stop):
        for number in range(100):
            assert await reload(gw, text(route("odd", "/odd") if number % 2 else "")) == []
    assert set(seen) == {200}


async def test_what_a_reload_replaces_is_let_go(tmp_path: Path) -> None:
    def endpoints() -> int:
        return sum(isinstance(one, Endpoint) for one in gc.get_objects())

    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        assert await reload(gw, config(up.port)) == []
        before = endpoints()
        for _ in range(10):
            assert await reload(gw, config(up.port)) == []
        assert endpoints() <= before


@contextlib.asynccontextmanager
async def probing(probe: object, stop: asyncio.Event) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(probe()) for _ in range(4)]  # type: ignore[operator]
    yield
    stop.set()
    await soon(asyncio.gather(*tasks))


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_sighup_reloads_a_process(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, **POLLS), tmp_path) as gw:
            raw = await connect(gw.port)
            await raw.send(get())
            await until(lambda: up.held == 1)
            file = tmp_path / "gateway.toml"
            file.write_text(file.read_text() + route("odd", "/odd"))
            gw.process.send_signal(signal.SIGHUP)
            while b"odd" not in (await gw.admin("/api/routes"))[1]:
                await asyncio.sleep(0.01)
            file.write_text("[server")
            gw.process.send_signal(signal.SIGUSR1)  # which other servers take for an order
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: "nothing was changed" in gw.output.read_text())
            up.publish(b"[7]")
            assert (await raw.read_answer()).status == 200
            await raw.close()

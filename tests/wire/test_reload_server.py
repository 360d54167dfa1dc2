"""What a reload changes of the process itself: numbers and clocks of `[server]`, the level of the log, what is kept for
upstreams and limits that are no more; and what the admin listener says and counts of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
from pathlib import Path

import pytest

from gateway.edge.room import AWAY
from tests.kit.gateways import InProcess, config, gateway, gateway_process, process_config, route
from tests.kit.raw import client, connect, get, post
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import soon, until

from .test_admin_operating import metrics
from .test_life import ITS_OWN_LOOP, LONG, listening
from .test_reload import POLLS, parked, reload
from .test_reload_limits import LIMITS

WRITE = "Gateway-Admin: 1"
OTHER = '[upstream.other]\nendpoints = ["http://127.0.0.1:{port}"]\n'
TO_OTHER = '[[route]]\nname = "other"\nmatch = { path = "/other" }\nupstream = "other"\n'


async def test_sizes_count_at_once_on_connections_that_are_open(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        assert (await raw.ask(post(b"12345"))).status == 200
        long = get("/", f"X-Long: {'x' * 2000}")
        assert (await raw.ask(long)).status == 200
        assert await reload(gw, config(up.port, server='max_body = "4B"\nmax_head = "1KiB"')) == []
        async with client(gw.port) as late:
            assert (await late.ask(post(b"12345"))).status == 413
        assert (await raw.ask(long)).status == 431


async def test_a_client_that_closes_its_side_gets_what_the_new_configuration_says(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLLS), tmp_path) as gw:
        raw = await parked(gw, up)
        assert await reload(gw, config(up.port, server='half_close = "answer"', **POLLS)) == []
        raw.half_close()
        await asyncio.sleep(0.02)
        assert up.publish(b"[7]") == 1
        assert bytes((await raw.read_answer()).body) == b"[7]"
        await raw.close()


async def test_a_smaller_share_of_an_address_turns_away_the_next_and_nobody_who_is_there(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLLS), tmp_path) as gw:
        held = [await parked(gw, up) for _ in range(3)]
        assert await reload(gw, config(up.port, server="per_address = { connections = 2 }", **POLLS)) == []
        async with client(gw.port) as late:
            assert (await late.read_answer()).status == 429
        assert up.publish(b"[7]") == 3
        for raw in held:
            assert (await raw.read_answer()).status == 200
            await raw.close()


async def test_more_connections_let_in_who_waits_at_the_door(tmp_path: Path) -> None:
    """Although nobody has left meanwhile."""
    async with ScriptedUpstream() as up, gateway(config(up.port, server="max_connections = 1"), tmp_path) as gw:
        crowd = [await connect(gw.port) for _ in range(1 + AWAY)]
        await until(lambda: gw.app._edge.room.shut)
        async with client(gw.port) as waits:
            await waits.send(get())
            assert await reload(gw, config(up.port, server="max_connections = 9")) == []
            assert (await waits.read_answer()).status == 200
        for raw in crowd:
            await raw.close()


async def test_fewer_connections_close_idle_ones_of_upstreams_for_new_ones(tmp_path: Path) -> None:
    lasting = 'keepalive = "60s"\n'
    async with HoldingUpstream() as up, ScriptedUpstream() as other:
        tables = {"upstream": lasting + OTHER.format(port=other.port), "routes": route() + TO_OTHER}
        async with gateway(config(up.port, **tables), tmp_path) as gw:
            busy = [await parked(gw, up) for _ in range(3)]
            up.publish()
            assert [(await raw.read_answer()).status for raw in busy] == [200] * 3
            assert await reload(gw, config(up.port, server="max_connections = 3", **tables)) == []
            assert (await busy[0].ask(get("/other"))).status == 200
            await until(lambda: up.live == 2)
            for raw in busy:
                await raw.close()


async def test_connections_of_an_upstream_that_is_no_more_are_closed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, HoldingUpstream() as other:
        text = config(up.port, upstream='keepalive = "60s"', more=OTHER.format(port=other.port) + 'keepalive = "60s"\n',
                      routes=route() + TO_OTHER)  # fmt: skip
        async with gateway(text, tmp_path) as gw, client(gw.port) as idle:
            held = await parked(gw, other, "/other")
            assert (await idle.ask(get())).status == 200
            await idle.send(get("/other"))
            await until(lambda: other.held == 2)
            other.publish()
            assert [(await raw.read_answer()).status for raw in (idle, held)] == [200, 200]
            await held.send(get("/other"))
            await until(lambda: other.held == 1)
            assert await reload(gw, config(up.port, upstream='keepalive = "60s"')) == []
            await until(lambda: other.live == 1, "the idle one")
            other.publish(b"[7]")
            assert bytes((await held.read_answer()).body) == b"[7]", (
                "an ordinary call of a route that is gone ends well"
            )
            await until(lambda: other.live == 0, "and that one is not kept")
            assert up.live == 1
            await held.close()


async def test_a_limit_that_was_taken_out_begins_anew_when_it_comes_back(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = config(up.port, more=LIMITS.format(rate=1), routes=route(policies=["limits"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert [(await raw.ask(get())).status for _ in range(2)] == [200, 429]
            assert await reload(gw, config(up.port)) == []
            assert await reload(gw, text) == []
            assert [(await raw.ask(get())).status for _ in range(2)] == [200, 429]


async def test_a_drain_is_that_of_the_new_configuration(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, **POLLS), tmp_path) as gw:
        raw = await parked(gw, up)
        assert await reload(gw, config(up.port, server=LONG, **POLLS)) == []
        async with client(gw.admin_port) as admin:
            for _ in range(2):
                found = await admin.ask(post(b"", "/api/drain", WRITE))
                assert (found.status, json.loads(bytes(found.body))) == (
                    202, {"draining": True, "listeners_close_in": 0.0, "window": 300.0},
                )  # fmt: skip
        await until(lambda: not listening(gw.port))
        assert 0 < (await gw.held())[0]["ends_in"] <= 240
        assert up.publish(b"[7]") == 1
        found = await raw.read_answer()
        assert (bytes(found.body), found.one("Connection")) == (b"[7]", "close")
        await soon(gw.app.wait_stopped())
        await raw.close()


@ITS_OWN_LOOP
async def test_a_drain_that_was_asked_for_over_http_ends_as_cleanly_as_one_by_signal(tmp_path: Path) -> None:
    short = 'drain = "200ms"\nstop_grace = "10s"'
    async with HoldingUpstream() as up:
        text = process_config(up.port, server=short, **POLLS)
        with gateway_process(text, tmp_path) as gw, contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.create_connection(("127.0.0.1", gw.port))) for _ in range(50)]
            for sock in held:
                sock.sendall(get())
            await until(lambda: up.held == 50)
            async with client(gw.admin_port) as raw:
                assert (await raw.ask(post(b"", "/api/drain", WRITE))).status == 202
                assert await gw.exit_code() == 0
            assert [record["outcome"] for record in await gw.records(50)] == ["drained"] * 50
            assert gw.output.read_text().splitlines()[-1] == "INFO stopped"


async def test_a_reload_that_is_under_way_when_the_drain_begins_changes_nothing(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **POLLS), tmp_path) as gw:
        raw = await parked(gw, up)
        routes = await gw.admin("/api/routes")
        under_way = asyncio.create_task(reload(gw, config(up.port, routes=route("new", "/new"))))
        await asyncio.sleep(0)
        gw.app.begin_drain()
        assert await soon(under_way) == ["the gateway is draining; start it again instead"]
        assert await gw.admin("/api/routes") == routes
        await gw.app.stop()
        await raw.close()


async def test_what_happens_is_counted_where_monitors_look(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, gateway(config(up.port, server=LONG, **POLLS), tmp_path) as gw:
        good, raw = gw.app.path.read_text(), await parked(gw, up)
        begun = await metrics(gw)
        assert begun["longpoll_last_reload_success"] == 1 and begun["longpoll_last_reload_timestamp_seconds"] == 0
        async with client(gw.admin_port) as admin:
            assert (await admin.ask(post(b"", "/api/reload", WRITE))).status == 200
            assert await counted(gw) == (1, 0, 1)
            at = (await metrics(gw))["longpoll_last_reload_timestamp_seconds"]
            assert at > 1_600_000_000
            gw.app.path.write_text("[server")
            found = await admin.ask(post(b"", "/api/reload", WRITE))
            assert (found.status, len(json.loads(bytes(found.body))["problems"])) == (422, 1)
            assert await counted(gw) == (1, 1, 0)
            assert (await metrics(gw))["longpoll_last_reload_timestamp_seconds"] > at
        assert await reload(gw, good) == []
        assert await counted(gw) == (2, 1, 1)
        assert await reload(gw, good.replace("[server]", "[server]\nmax_connections = 1")) == []
        async with client(gw.port) as late:
            assert (await late.read_answer()).status == 503
        now = await metrics(gw)
        assert (now["longpoll_connections"], now["longpoll_max_connections"]) == (1, 1)
        assert (now["longpoll_shed_total,reason=connections"], now["longpoll_draining"]) == (1, 0)
        gw.app.begin_drain()
        await until(lambda: gw.app.draining)
        assert (await metrics(gw))["longpoll_draining"] == 1
        await gw.app.stop()
        await raw.close()


async def counted(gw: InProcess) -> tuple[float, float, float]:
    found = await metrics(gw)
    names = ("longpoll_reloads_total,result=ok", "longpoll_reloads_total,result=failed", "longpoll_last_reload_success")
    good, failed, last = (found[name] for name in names)
    return good, failed, last


async def test_what_needs_a_restart_is_told_as_long_as_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        changed = config(up.port, listen=["127.0.0.1:0", f"unix:{tmp_path}/x"])
        told = []
        for text in (changed, changed, config(up.port)):
            caplog.clear()
            assert await reload(gw, text) == []
            told.append(["server.listen" in record.message for record in caplog.records].count(True))
        assert told == [1, 1, 0]


async def test_a_notice_of_the_new_configuration_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        caplog.clear()
        assert await reload(gw, config(up.port, routes=route("open", "/open"))) == []
        assert [record.message for record in caplog.records if "anyone may call it" in record.message]


@ITS_OWN_LOOP
async def test_the_level_of_the_log_is_that_of_the_new_configuration(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        with gateway_process(process_config(up.port, log='level = "error"'), tmp_path) as gw:
            file = tmp_path / "gateway.toml"
            assert "files may be open" in gw.output.read_text(), "said before the level is known"
            assert "listening" not in gw.output.read_text()
            file.write_text(file.read_text().replace('level = "error"', 'level = "info"'))
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: "reloaded" in gw.output.read_text())

"""Signals to a running process, beside SIGTERM (tests/wire/test_life.py): Ctrl-C is as good, neither a reload nor
the operator's own requests are in the way of the end, and after a SIGKILL the next process starts where the last stood.
"""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.kit.gateways import config, free_port, gateway_process, hold, process_config, route
from tests.kit.raw import client, connect, get, post
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

POLL = {"more": hold(), "routes": route(policies=["poll"])}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_either_signal_drains_and_exits_with_0(tmp_path: Path, number: signal.Signals) -> None:
    async with HoldingUpstream() as up:
        text = process_config(up.port, server='drain = "300ms"\nstop_grace = "10s"', **POLL)
        with gateway_process(text, tmp_path) as gw:
            raw = await connect(gw.port)
            await raw.send(get())
            await until(lambda: up.held == 1)
            gw.process.send_signal(number)
            found = await raw.read_answer()
            assert (found.status, bytes(found.body), found.one("Connection")) == (200, b"[]", "close")
            assert await gw.exit_code() == 0
            await raw.close()
        assert "Traceback" not in gw.output.read_text()


async def test_a_burst_of_sighups_reloads_and_ends_nothing(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        with gateway_process(process_config(up.port, **POLL), tmp_path) as gw:
            async with client(gw.port) as raw:
                await raw.send(get())
                await until(lambda: up.held == 1)
                for _ in range(50):
                    gw.process.send_signal(signal.SIGHUP)
                await until(lambda: "reloaded" in gw.output.read_text())
                up.publish(b'["news"]')
                assert bytes((await raw.read_answer()).body) == b'["news"]'
            assert gw.process.poll() is None


async def test_a_reload_that_reads_a_pipe_does_not_delay_the_end(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        with gateway_process(process_config(up.port), tmp_path) as gw:
            file = tmp_path / "gateway.toml"
            threads = len(os.listdir(f"/proc/{gw.process.pid}/task"))
            file.unlink()
            os.mkfifo(file)
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: len(os.listdir(f"/proc/{gw.process.pid}/task")) > threads)
            async with client(gw.port) as raw:
                assert (await raw.ask(get())).status == 200
            gw.terminate()
            assert await gw.exit_code() == 0
        assert "Traceback" not in gw.output.read_text()


async def test_a_drain_asked_for_over_http_loses_no_record_although_the_admin_listener_is_busy(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        poll = {"more": hold(empty='{ answer = "origin" }', replay='"destructive"'), "routes": route(policies=["poll"])}
        with gateway_process(process_config(up.port, server='drain = "200ms"', **poll), tmp_path) as gw:
            held, busy = await connect(gw.port), await connect(gw.admin_port)
            await held.send(get())
            await until(lambda: up.held == 1)
            await busy.send(post(b"", "/api/held/end", "Gateway-Admin: 1").replace(b"Length: 0", b"Length: 9"))
            async with client(gw.admin_port) as operator:
                assert (await operator.ask(post(b"", "/api/drain", "Gateway-Admin: 1"))).status == 202
            assert (await held.read_answer()).status == 503
            assert await gw.exit_code() == 0
            assert (await gw.record())["outcome"] == "drained"
            await held.close()
            await busy.close()
        assert gw.output.read_text().endswith("INFO stopped\n")


async def test_killed_without_warning_it_starts_again_on_the_same_addresses(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        listen = [f"127.0.0.1:{free_port()}", f"unix:{tmp_path}/g.sock"]
        text = config(up.port, listen=listen, admin=f"127.0.0.1:{free_port()}")
        for _ in range(2):
            with gateway_process(text, tmp_path) as gw:
                async with client(gw.port) as raw, client(tmp_path / "g.sock") as near:
                    assert [(await one.ask(get())).status for one in (raw, near)] == [200, 200]
                gw.process.kill()
                await asyncio.to_thread(gw.process.wait)
            assert (tmp_path / "g.sock").exists()

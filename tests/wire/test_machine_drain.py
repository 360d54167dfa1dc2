"""The end of a machine: one window for all workers, and every poll has its answer within it."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path

from tests.kit.gateways import hold, route
from tests.kit.machines import machine, machine_config
from tests.kit.successions import ends, polls, records_of, two_routes
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

HELD = 200


async def test_one_window_ends_the_polls_of_all_workers(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        with machine(two_routes(up, quick), tmp_path) as gw:
            clients = await polls(gw.port, up, HELD)
            workers = gw.workers.values()
            gw.terminate()
            assert await ends(clients) == {(200, ""): HELD}, "templates, which bear no mark of a service"
            assert await gw.exit_code() == 0
            assert not [each for each in workers if os.path.exists(f"/proc/{each.pid}")]
            records = await records_of(tmp_path, HELD)
        assert {record["outcome"] for record in records} <= {"blank", "drained"}
        assert all(f"worker {number}: draining for at most 2s" in gw.said() for number in (0, 1))


async def test_the_operator_drains_all_of_them_and_readiness_is_red_first(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        server = 'shutdown_delay = "1s"\ndrain = "500ms"\nstop_grace = "20s"\n'
        with machine(two_routes(up, quick, server=server), tmp_path) as gw:
            clients = await polls(gw.port, up, 20)
            gw.terminate()
            await until(lambda: "draining" in gw.systemd.said[-1].get("STATUS", ""))
            assert (await gw.admin("/readyz"))[0] == 503
            clients += await polls(gw.port, up, 20)  # they still listen, both
            assert await ends(clients) == {(200, ""): 40}
            assert await gw.exit_code() == 0


async def test_a_worker_that_hangs_is_killed_after_the_window_and_the_others_are_not(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        server = 'drain = "500ms"\nstop_grace = "20s"\n'
        with machine(two_routes(up, quick, server=server), tmp_path) as gw:
            clients = await polls(gw.port, up, 20)
            held = await gw.held_by()
            gw.kill(1, signal.SIGSTOP)
            gw.terminate()
            assert await gw.exit_code() == 0
            assert await ends(clients) == {(200, ""): len(held[0]), (0, ""): len(held[1])}


async def test_a_window_is_the_same_for_a_worker_that_hears_of_it_late(tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        never = {"more": hold(empty='{ answer = "never" }', replay='"never"'), "routes": route(policies=["poll"])}
        with machine(machine_config(up.port, server='drain = "2s"\nstop_grace = "20s"', **never), tmp_path) as gw:
            clients = await polls(gw.port, up, 20)
            pid = gw.kill(1, signal.SIGSTOP)
            begun = time.monotonic()
            gw.terminate()
            await until(lambda: "draining for" in gw.said())
            await until(lambda: time.monotonic() > begun + 1)
            os.kill(pid, signal.SIGCONT)
            await ends(clients)
            assert await gw.exit_code() == 0
            ended = [
                datetime.fromisoformat(each["time"]).timestamp() + each["took"]
                for each in await records_of(tmp_path, 20)
            ]
            assert max(ended) - min(ended) < 0.9, "it heard of it a second later"

"""A machine of workers that is told something while it starts, or whose workers are: it ends, and leaves nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.kit.machines import PROCESSES, Machine, machine, machine_config
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(180)  # three processes start, beside many others
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process
TOLD = {"SIGTERM": (os.kill, signal.SIGTERM), "Ctrl-C": (os.killpg, signal.SIGINT)}


@ITS_OWN_LOOP
@pytest.mark.parametrize("told", TOLD)
async def test_told_to_end_while_workers_start_it_ends_with_them(tmp_path: Path, told: str) -> None:
    tell, number = TOLD[told]
    with machine(machine_config(1), tmp_path, serves=False, start_new_session=True) as gw:
        found = await until(lambda: gw.workers, limit=PROCESSES)
        tell(gw.process.pid, number)
        assert await gw.exit_code() == 0, gw.said()
        assert not any(os.path.exists(f"/proc/{each.pid}") for each in found.values())
        assert not any(each.directory.exists() for each in found.values())
        assert "serving" not in gw.said() and "Traceback" not in gw.said(), gw.said()


@ITS_OWN_LOOP
async def test_reloads_while_workers_start_come_after_it(tmp_path: Path) -> None:
    with machine(machine_config(1), tmp_path, serves=False) as gw:
        await until(lambda: gw.workers, limit=PROCESSES)
        for _ in range(3):
            gw.process.send_signal(signal.SIGHUP)
        await until(lambda: gw.systemd.heard("RELOADING"), limit=PROCESSES)
        assert lines(gw, "serving with 2 workers") == [1]
        await until(lambda: lines(gw, "reloaded;"), limit=PROCESSES)


@ITS_OWN_LOOP
async def test_a_start_says_of_the_admin_listener_only_where_it_can_be_asked(tmp_path: Path) -> None:
    with machine(machine_config(1), tmp_path) as gw:
        (line,) = [line for line in gw.said().splitlines() if "admin on" in line]
        assert line == f"INFO admin on 127.0.0.1:{gw.admin_port}"


def lines(gw: Machine, words: str) -> list[int]:
    """1 for each line with these words."""
    return [1 for line in gw.said().splitlines() if words in line]

"""Workers that end by themselves: one that ends again and again is started ever more rarely, and a machine none of
whose workers can start says why, as one process would.
"""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kit.machines import PROCESSES, Machine, WorkerProcess, machine, machine_config
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(180)  # three processes start, beside many others
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process


def workers(gw: Machine, number: int) -> list[WorkerProcess]:
    return [each for each in gw.workers.values() if each.number == number]


@ITS_OWN_LOOP
async def test_a_worker_that_ends_again_and_again_is_started_ever_more_rarely(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        with machine(machine_config(up.port), tmp_path) as gw:
            killed: set[int] = set()
            while len(killed) < 4:
                fresh = await until(
                    lambda: [each for each in workers(gw, 1) if each.pid not in killed], limit=PROCESSES
                )
                killed.add(gw.kill(fresh[0].number))
            lines = re.findall(
                r"ERROR worker 1 \(pid (\d+)\) was ended by SIGKILL .* started again in (\S+)s", gw.said()
            )
            pauses = [float(pause) for _, pause in lines]
            assert pauses[0] == 0.1 and len(pauses) >= 3
            assert all(later in (0.1, pytest.approx(2 * pause)) for pause, later in pairwise(pauses))
            assert max(pauses) > 0.1, "each lived for seconds: it is a machine too slow for this test"
            async with client(gw.port) as raw:  # the other one never noticed
                assert (await raw.ask(get())).status == 200
            await gw.until_serving(2)


def test_that_no_worker_can_start_is_told_once_with_the_exit_code_of_one_process(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "gateway.toml"
    file.write_text(machine_config(1, calls=f"{tmp_path}/file/calls.jsonl"), "utf-8")
    command = [sys.executable, "-m", "gateway", "run", "-c", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PROCESSES, check=False)
    said = [line for line in done.stderr.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert done.returncode == 2, done.stderr
    assert [str(tmp_path) in line for line in said] == [True], done.stderr

"""A gateway that was started with standard streams closed, as some supervisors do: it serves as others do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kit.machines import machine, machine_config
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream

pytestmark = pytest.mark.timeout(180)  # three processes start, beside many others
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process


@ITS_OWN_LOOP
@pytest.mark.parametrize(("workers", "state"), [(1, "memory://"), (2, "shared://")])
@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
async def test_it_serves_without_standard_streams(tmp_path: Path, closed: str, workers: int, state: str) -> None:
    command = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "gateway"]
    async with ScriptedUpstream() as up:
        with machine(machine_config(up.port, workers=workers, state=state), tmp_path, command) as gw:
            async with client(gw.port) as raw:
                assert (await raw.ask(get())).status == 200
            gw.terminate()
            assert await gw.exit_code() == 0

"""Workers that hang under a supervisor of the test's own process, which looks for signs of life when the test says so:
one that is stopped while another speaks is killed and started again, and nobody waits for it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from gateway.config import read_config
from gateway.machine import pulse
from gateway.machine.launch import Life
from gateway.machine.notify import Notifier
from gateway.machine.pulse import SLACK
from gateway.machine.supervisor import Supervisor
from tests.kit.gateways import hold, route
from tests.kit.machines import PROCESSES, machine_config
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import soon, until

pytestmark = [
    pytest.mark.timeout(180),  # three processes start, beside many others
    pytest.mark.asyncio(loop_factories=["asyncio"]),  # what the supervisor says is the same on any loop
]
POLL = {"more": hold(absent='"60s"', max='"90s"'), "routes": route(policies=["poll"])}
HUNG, LONG, MUTE = 5, 12, 3  # looks


class Hanging:
    """A machine whose supervisor is ours. Nobody looks but this test."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.pids = [self.life(number).pid for number in (0, 1)]

    def life(self, number: int) -> Life:
        return self.supervisor.workers.lives[number]

    async def stop(self, *numbers: int) -> None:
        """And what they said before has been heard."""
        for number in numbers:
            os.kill(self.pids[number], signal.SIGSTOP)
            await until(lambda number=number: _is_stopped(self.pids[number]))  # type: ignore[misc]
        for _ in range(10):  # turns of the loop
            await asyncio.sleep(0)

    def go_on(self, *numbers: int) -> None:
        for number in numbers:
            os.kill(self.pids[number], signal.SIGCONT)

    async def looks(self, count: int, *speak: int) -> None:
        """Each when these have spoken."""
        for _ in range(count):
            for number in speak:
                await until(lambda number=number: self.life(number).pulse.silent < SLACK)  # type: ignore[misc]
            self.supervisor.workers.watch.look()

    async def spoke(self, *numbers: int) -> None:
        await until(lambda: not any(self.life(number).pulse.silent for number in numbers))

    async def is_back(self, *numbers: int) -> None:
        """Others serve in their place."""

        def back(number: int) -> bool:
            life = self.supervisor.workers.lives.get(number)
            return life is not None and life.served and life.pid != self.pids[number]

        await until(lambda: all(map(back, numbers)), limit=PROCESSES)


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] == "T"


@asynccontextmanager
async def hanging(
    up: HoldingUpstream, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: float
) -> AsyncIterator[Hanging]:
    """Its constants are those above, and `more`."""
    for name, value in {"OFTEN": 3600.0, "HUNG": HUNG, "LONG": LONG, "MUTE": MUTE, **more}.items():
        monkeypatch.setattr(pulse, name, value)
    file = folder / "gateway.toml"
    text = machine_config(up.port, **POLL)
    file.write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"), "utf-8")
    supervisor = Supervisor(file, read_config(file), 2, Notifier({}))
    await supervisor.start()
    try:
        yield Hanging(supervisor)
    finally:
        for life in supervisor.workers.lives.values():
            os.kill(life.pid, signal.SIGCONT)
        await supervisor.stop()


def port(on: Hanging) -> int:
    assert on.supervisor._bound is not None
    (sockets,) = on.supervisor._bound.sockets.values()
    found: int = sockets[0].getsockname()[1]
    return found


@asynccontextmanager
async def polls(on: Hanging, up: HoldingUpstream, many: int = 40) -> AsyncIterator[None]:
    """Held by both."""
    async with AsyncExitStack() as stack:
        for _ in range(many):
            raw = await stack.enter_async_context(client(port(on)))
            await raw.send(get())
        await until(lambda: up.held == many)
        yield


async def test_one_that_is_stopped_is_killed_and_started_again_and_nobody_else_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with HoldingUpstream() as up, hanging(up, tmp_path, monkeypatch) as on, polls(on, up):
        await on.stop(1)
        await on.looks(HUNG + SLACK + 1, 0)
        await on.is_back(1)
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(said) == 2 and said[0].startswith(f"worker 1 (pid {on.pids[1]}) has not answered for")
        assert said[1].startswith(
            f"worker 1 (pid {on.pids[1]}) was ended by SIGKILL (it did not answer); it is started"
        )
        await until(lambda: 0 < up.held < 40, "what the other holds")
        await on.looks(2 * HUNG, 0, 1)
        assert on.life(0).pid == on.pids[0] and not on.life(1).pulse.given_up


async def test_the_supervisor_looks_by_itself_for_as_long_as_there_are_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = {"HUNG": 10**9, "LONG": 10**9, "MUTE": 100}
    async with HoldingUpstream() as up, hanging(up, tmp_path, monkeypatch, OFTEN=0.001, **never) as on:
        await on.stop(1)
        await until(lambda: on.life(1).pulse.silent > 1000)
        assert on.life(1).pulse.mute.is_set()
        on.go_on(1)
        await until(lambda: not on.life(1).pulse.mute.is_set())
        watching = on.supervisor.workers._watching
        assert watching is not None and not watching.done()
    await until(watching.cancelled)


async def test_what_stops_all_of_them_kills_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with HoldingUpstream() as up, hanging(up, tmp_path, monkeypatch) as on, polls(on, up):
        await on.stop(0, 1)
        await on.looks(LONG)
        on.go_on(0)
        await on.spoke(0)
        await on.looks(HUNG - 1, 0)
        on.go_on(1)
        await on.spoke(0, 1)
        await on.looks(2 * HUNG, 0, 1)
        assert [on.life(number).pid for number in (0, 1)] == on.pids and up.held == 40
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert [text.partition(" has")[0] for text in said if "answered" in text] == ["none of 2 workers"]


async def test_all_that_hang_for_long_are_killed_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with HoldingUpstream() as up, hanging(up, tmp_path, monkeypatch) as on:
        await on.stop(0, 1)
        await on.looks(LONG + SLACK + 1)
        await on.is_back(0, 1)


async def test_a_reload_names_who_does_not_answer_and_changes_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fell silent before or meanwhile; and when it speaks again all follow."""
    async with HoldingUpstream() as up, hanging(up, tmp_path, monkeypatch) as on:
        await on.stop(1)
        pending = asyncio.ensure_future(on.supervisor.reload())
        asked = on.life(1).link._asked
        await until(lambda: asked, "it is asked, and does not hear it")
        assert not pending.done()
        await on.looks(MUTE, 0)
        wanted = f"worker 1 (pid {on.pids[1]}) does not answer (no sign of life for {MUTE}s): it hangs, or was stopped;"
        assert [problem.startswith(wanted) for problem in await soon(pending)] == [True]
        assert not asked, "nobody waits for it any more"
        again = await soon(on.supervisor.reload())
        assert [problem.startswith(wanted) for problem in again] == [True]
        assert on.supervisor.reloaded == 0
        on.go_on(1)
        await on.spoke(1)
        assert await on.supervisor.reload() == []
        assert on.supervisor.reloaded == 1 and [on.life(number).pid for number in (0, 1)] == on.pids

"""What signals ask for: the first end drains and the second stops; reloads that wait for their turn are one."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from gateway.process import Signals
from tests.kit.waiting import until


class Machine:
    """Something that gets signals; a reload of it takes until `goes_on`."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.goes_on = asyncio.Event()

    async def reload(self) -> None:
        self.did.append("reload")
        await self.goes_on.wait()

    async def drain(self) -> None:
        self.did.append("drain")

    async def stop(self) -> None:
        self.did.append("stop")


async def test_the_first_end_drains_and_the_next_ones_stop() -> None:
    machine = Machine()
    signals = Signals(cast(Any, machine))
    for _ in range(3):
        signals.end()
    await until(lambda: not signals.tasks)
    assert machine.did == ["drain", "stop", "stop"]


async def test_a_reload_serves_for_all_that_are_asked_for_before_it_begins() -> None:
    machine = Machine()
    signals = Signals(cast(Any, machine))
    for _ in range(50):
        signals.reload()
    await until(lambda: machine.did == ["reload"])
    for _ in range(50):  # the file may have changed since the first one read it
        signals.reload()
    await until(lambda: len(machine.did) == 2)
    machine.goes_on.set()
    await until(lambda: not signals.tasks)
    assert machine.did == ["reload"] * 2

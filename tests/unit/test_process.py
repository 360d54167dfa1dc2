"""What signals ask for: the first end drains and the second stops; reloads that wait for their turn are one; what is
only starting is not drained, and reloaded once it serves.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from gateway.process import Signals
from tests.kit.waiting import until


class Machine:
    """Something that gets signals; a reload of it takes until `goes_on`, a start until `serves`."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.goes_on = asyncio.Event()
        self.serves = asyncio.Event()
        self.serves.set()

    async def start(self) -> None:
        self.did.append("start")
        await self.serves.wait()
        self.did.append("serve")

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
    assert await signals.start()
    for _ in range(3):
        signals.end()
    await until(lambda: not signals.tasks)
    assert machine.did == ["start", "serve", "drain", "stop", "stop"]


async def test_an_end_before_it_serves_ends_the_start() -> None:
    machine = Machine()
    machine.serves.clear()
    signals = Signals(cast(Any, machine))
    start = asyncio.ensure_future(signals.start())
    await until(lambda: machine.did == ["start"])
    for _ in range(3):
        signals.end()
    assert not await start
    assert machine.did == ["start", "stop"]


async def test_an_end_before_the_start_lets_nothing_start() -> None:
    machine = Machine()
    signals = Signals(cast(Any, machine))
    signals.end()
    assert not await signals.start()
    assert machine.did == ["stop"]


async def test_a_reload_during_the_start_comes_after_it() -> None:
    machine = Machine()
    machine.serves.clear()
    signals = Signals(cast(Any, machine))
    start = asyncio.ensure_future(signals.start())
    await until(lambda: machine.did == ["start"])
    signals.reload()
    await asyncio.sleep(0)
    machine.serves.set()
    assert await start
    await until(lambda: len(machine.did) == 3)
    assert machine.did == ["start", "serve", "reload"]
    machine.goes_on.set()
    await until(lambda: not signals.tasks)


async def test_a_reload_serves_for_all_that_are_asked_for_before_it_begins() -> None:
    machine = Machine()
    signals = Signals(cast(Any, machine))
    await signals.start()
    machine.did.clear()
    for _ in range(50):
        signals.reload()
    await until(lambda: machine.did == ["reload"])
    for _ in range(50):  # the file may have changed since the first one read it
        signals.reload()
    await until(lambda: len(machine.did) == 2)
    machine.goes_on.set()
    await until(lambda: not signals.tasks)
    assert machine.did == ["reload"] * 2

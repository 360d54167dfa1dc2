"""`python -m gateway.machine.worker`: one of several processes that serve together. It does what its supervisor says
over the line between them, and ends by itself, without losing a call, when there is no supervisor any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.app import App
from gateway.cli import explained
from gateway.config.disk import Copy
from gateway.drain import Drain
from gateway.machine.directory import leave
from gateway.machine.headcount import Headcount
from gateway.machine.link import Link
from gateway.machine.part import Part
from gateway.machine.pulse import BEAT
from gateway.machine.turnover import kept
from gateway.process import NO_ORDERS, loop_factory, tell_of_bugs

logger = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told when it is started, as JSON: descriptors are numbers, and inherited."""

    config: str
    number: int
    workers: int
    directory: str
    lock: int  # of the directory
    link: int
    sockets: Mapping[str, list[int]]


def main() -> int:
    orders = Orders(**json.loads(sys.argv[1]))
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        *NO_ORDERS,
    ):  # whoever signals a group means the supervisor
        signal.signal(number, lambda *_: None)
    sys.unraisablehook = tell_of_bugs
    form = f"%(levelname)s worker {orders.number}: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(orders))


async def _serve(orders: Orders) -> int:
    told = Told()
    link = await Link.over(_socket(orders.link), told.handlers())
    _beat(link)
    directory = Path(orders.directory)
    sockets = {name: [_socket(each) for each in numbers] for name, numbers in orders.sockets.items()}
    neighbours = Headcount(directory, orders.workers, orders.number)
    part = Part(orders.number, orders.workers, sockets, directory, link, neighbours)
    try:
        app = App(Path(orders.config), part=part, copy=kept(directory))
        await app.start()
    except Exception as error:
        code, text = explained(error)
        link.tell("failed", code=code, text=text)
        await _flushed(link)
        return code
    told.app.set_result(app)
    link.lost.add_done_callback(lambda _: told.orphaned())
    link.tell("ready", owner=app.owner, pid=os.getpid())
    await app.wait_stopped()
    if link.lost.done():
        leave(directory, orders.lock)
    await _flushed(link)
    return 0


def _beat(link: Link) -> None:
    """The supervisor hears that this loop turns."""
    link.tell("alive")
    asyncio.get_running_loop().call_later(BEAT, _beat, link)


def _socket(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


async def _flushed(link: Link) -> None:
    """What was told last has left when the line has ended."""
    link.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(link.lost, 1.0)


class Told:
    """What the supervisor may ask of this worker; while it starts all of that waits."""

    def __init__(self) -> None:
        self.app: asyncio.Future[App] = asyncio.get_running_loop().create_future()

    def handlers(self) -> dict[str, Any]:
        return {
            "drain": self.drain, "hand_over": self.hand_over, "stop": self.stop, "gone": self.gone,
            "prepare_reload": self.prepare_reload, "commit_reload": self.commit_reload,
            "abandon_reload": self.abandon_reload,
        }  # fmt: skip

    async def prepare_reload(self, files: str) -> list[str]:
        return await (await self.app).prepare_reload(Copy(Path(files)))

    async def commit_reload(self) -> list[str]:
        return await (await self.app).commit_reload()

    async def abandon_reload(self, problems: list[str]) -> None:
        (await self.app).abandon_reload(problems)

    def gone(self, owner: str) -> None:
        """A worker died. What it held is free already, or a store that has to see to that takes this over."""

    async def drain(self, begun: float, end: float) -> None:
        """Ends what is held within this window, which is that of all workers, and then this process."""
        await (await self.app).drain(Drain(begun, end))

    async def hand_over(self, addresses: list[str]) -> None:
        """Another machine listens there by now."""
        (await self.app).hand_over(addresses)

    async def stop(self) -> None:
        await (await self.app).stop()

    def orphaned(self) -> None:
        app = self.app.result()
        if not app.draining:
            logger.error("the supervisor is gone; this worker serves nobody new and ends")
            app.begin_drain(at_once=True)


if __name__ == "__main__":
    sys.exit(main())

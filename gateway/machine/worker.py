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
from gateway.drain import Drain
from gateway.machine.headcount import Headcount
from gateway.machine.kept import kept
from gateway.machine.link import Link
from gateway.machine.part import Part
from gateway.process import loop_factory, tell_of_bugs

logger = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is told when it is started, as JSON: descriptors are numbers, and inherited."""

    config: str
    number: int
    workers: int
    directory: str
    link: int
    sockets: Mapping[str, list[int]]


def main() -> int:
    orders = Orders(**json.loads(sys.argv[1]))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # whoever signals a group means the supervisor
        signal.signal(number, lambda *_: None)
    sys.unraisablehook = tell_of_bugs
    form = f"%(levelname)s worker {orders.number}: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_serve(orders))


async def _serve(orders: Orders) -> int:
    handlers: dict[str, Any] = {}
    link = await Link.over(_socket(orders.link), handlers)
    directory = Path(orders.directory)
    sockets = {name: [_socket(each) for each in numbers] for name, numbers in orders.sockets.items()}
    neighbours = Headcount(directory, orders.workers, orders.number)
    part = Part(orders.number, orders.workers, sockets, directory, link, neighbours)
    try:
        app = App(Path(orders.config), part=part, read=(kept(directory), []))
        await app.start()
    except Exception as error:
        code, text = explained(error)
        link.tell("failed", code=code, text=text)
        await _flushed(link)
        return code
    told = Told(app)
    handlers.update(told.handlers())
    link.lost.add_done_callback(lambda _: told.orphaned())
    link.tell("ready", owner=part.owner, pid=os.getpid())
    await app.wait_stopped()
    await _flushed(link)
    return 0


def _socket(number: int) -> socket.socket:
    os.set_inheritable(number, False)
    return socket.socket(fileno=number)


async def _flushed(link: Link) -> None:
    """What was told last has left when the line has ended."""
    link.close()
    with suppress(TimeoutError):
        await asyncio.wait_for(link.lost, 1.0)


class Told:
    """What the supervisor may ask of this worker."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None

    def handlers(self) -> dict[str, Any]:
        return {"drain": self.drain, "stop": self._app.stop, "gone": self.gone,
                "prepare_reload": self.prepare_reload, "commit_reload": self._app.reload,
                "abandon_reload": lambda: None}  # fmt: skip

    def prepare_reload(self) -> dict[str, object]:
        return {"problems": [], "digest": ""}

    def gone(self, owner: str) -> None:
        """A worker died; what it held is free already."""

    async def drain(self, begun: float, end: float) -> None:
        """Ends what is held within this window, which is that of all workers, and then this process."""
        await self._app.drain(Drain(begun, end))

    def orphaned(self) -> None:
        if not self._app.draining:
            logger.error("the supervisor is gone; this worker serves nobody new and ends")
            self._task = asyncio.ensure_future(self._app.drain(self._app.window(delay=0.0)))


if __name__ == "__main__":
    sys.exit(main())

"""The process that `gateway run` is when several serve: it opens the sockets, starts the workers, watches over them,
and passes on what it is told. It touches no call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from gateway.admin.listener import AdminListener
from gateway.app import AFTER_DRAIN
from gateway.drain import Drain
from gateway.edge.listen import NOTHING, Bound, Given, bind_all
from gateway.loading import Read
from gateway.machine.admin.api import make_machine_admin
from gateway.machine.admin.crew import Crew
from gateway.machine.directory import Directory, make_directory
from gateway.machine.estate import Estate
from gateway.machine.handover import Offer, Taken
from gateway.machine.headcount import Headcount
from gateway.machine.launch import Life, Machine
from gateway.machine.link import Link
from gateway.machine.notify import Notifier
from gateway.machine.planning import planned
from gateway.machine.turnover import Turnover
from gateway.machine.workers import StartError, Workers

logger = logging.getLogger("gateway")

PATIENCE = 3.0  # seconds by which a worker may be late with its end
TO_STOP = 3.0  # seconds a worker has for an end without a drain
TO_LEAVE = 2.0  # seconds it has to take nobody new, where another machine does


class Supervisor:
    """`await start()`, then `reload()`, `drain()` or `stop()`, as of an `App`.

    Raises StartError, ConfigError, ValueError or OSError from `start`, each with sentences for the operator.
    """

    def __init__(self, path: Path, read: Read, workers: int, notifier: Notifier, before: Taken | None = None) -> None:
        self.path = path
        self.draining = False
        self.began = time.monotonic()
        self._config, self._notices = read
        self._count = workers
        self._notifier = notifier
        self._before = before  # in whose place we begin
        self._before_link: Link | None = before.link if before is not None else None
        self._given: Given = before.sockets if before is not None else NOTHING
        self._replaced = False
        self.successor: Link | None = None
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._began_drain: asyncio.Task[None] | None = None
        self._bound: Bound | None = None
        self._admin: AdminListener | None = None
        self.directory: Directory | None = None

    async def start(self) -> None:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.directory = make_directory()
        self.turnover = Turnover(self.path, self.directory.path, self._count)
        built = self.turnover.begin()
        self._config = built.config
        self._bound = bind_all(self._config.server, self._given)
        self._headcount = Headcount.make(self.directory.path, self._count)
        for notice in self._notices:
            logger.warning("%s", notice)
        for line in planned(self._config, self._count, built.files):
            logger.info("%s", line)
        self.workers = Workers(Machine(self.path, self._count, self._bound.sockets, self.directory), self._gone)
        self._estate = Estate(self._config.state, self.directory.path, self.workers.forward)
        self._estate.open(self._before.directory if self._before is not None else None)
        self.workers.elsewhere = self._elsewhere
        self.turnover.serve(self.workers)
        await self._open_admin(self.directory.path)
        await self.workers.start()
        if self._before is not None and len(self.workers.ready) < self._count:
            self._replaced = True
            await self.drain()
            raise StartError(1, f"gateway: not all workers came to serve, so process {self._before.pid} goes on")
        logger.info("serving with %d workers", len(self.workers.ready))

    def served(self) -> None:
        """Whoever waits for that is told that we serve."""
        self._notifier.ready(self._status())
        self._notifier.watch(asyncio.get_running_loop())

    async def _open_admin(self, directory: Path) -> None:
        """It answers for all workers, from before the first of them serves until after the last one has ended."""
        if self._config.admin is not None:
            crew = Crew(self, directory, self._count, self._config)
            self._admin = AdminListener(self._config.admin, partial(make_machine_admin, crew), self._given)
            await self._admin.start()

    async def _gone(self, life: Life) -> None:
        """What a worker had is free before the others hear of its end."""
        self._headcount.gone(life.number)
        if life.owner:
            await self._estate.bury(life.owner)

    @property
    def reloaded(self) -> int:
        """How often another configuration has come to count."""
        return self.turnover.reloads.counts["ok"]

    def _status(self) -> str:
        return f"serving with {len(self.workers.ready)} of {self._count} workers"

    # -- another configuration -----------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """All workers, or none. Returns the problems, each one line."""
        if self.draining:
            return ["the gateway is draining; start it again instead"]
        self._notifier.reloading()
        problems = await self.turnover.reload(lambda: not self.draining)
        self._config = self.turnover.config
        self._notifier.ready(f"{self._status()}; the reload failed: {problems[0]}" if problems else self._status())
        return problems

    # -- the end -------------------------------------------------------------------------------------------------

    def begin_drain(self) -> dict[str, object]:
        """Drains and stops, as SIGTERM does; returns what will happen. Asked again it begins nothing new."""
        if self._began_drain is None:
            self._began_drain = asyncio.ensure_future(self.drain())
        server = self._config.server
        return {"draining": True, "listeners_close_in": server.shutdown_delay, "window": server.drain}

    async def wait_stopped(self) -> None:
        await self._stopped.wait()

    def offer(self) -> Offer:
        """What is listened on, and where the workers share their state, for a machine that is to take our place."""
        sockets = {name: some for bound in self._all_bound() for name, some in bound.sockets.items()}
        return Offer(sockets, self.directory.path if self.directory is not None else None)

    def own(self) -> None:
        """The process before has let go: files of unix sockets end with this machine."""
        for bound in self._all_bound():
            bound.own()

    def _all_bound(self) -> list[Bound]:
        return [one for one in (self._bound, self._admin.bound if self._admin is not None else None) if one]

    async def hand_over(self, pid: int, addresses: Collection[str]) -> None:
        """Another process listens at these addresses now: what is held here ends as in a drain."""
        self._replaced = True
        self._notifier.main(pid)
        if self._bound is not None:
            self._bound.own(addresses)
        if self._admin is not None:
            self._admin.hand_over(addresses)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.workers.ask("hand_over", addresses=list(addresses)), TO_LEAVE)
        self._began_drain = self._began_drain or asyncio.ensure_future(self.drain(at_once=True))

    def heard(self, to: str, name: str, data: dict[str, Any], from_before: bool = False) -> None:
        """Word from the machine in whose place we are, or from the one in ours. Where it is for none of our workers it
        goes on to the other of the two, and never back."""
        further = self.successor if from_before else self._before_link
        ours = hasattr(self, "workers") and self.workers.deliver(to, name, data)
        if not ours and further is not None:
            further.tell("pass", to=to, name=name, data=data)

    def _elsewhere(self, to: str, name: str, data: dict[str, Any]) -> None:
        """Word from one of ours to one that is none of ours."""
        for link in (self._before_link, self.successor):
            if link is not None:
                link.tell("pass", to=to, name=name, data=data)

    async def drain(self, at_once: bool = False) -> None:
        """All workers turn red together, and close their listeners together. We let go of the sockets before they do:
        the last of them to close takes whoever is in a queue by then, and nobody comes into it after that."""
        if self.draining:
            return
        self.draining = True
        server = self._config.server
        delay = 0.0 if at_once else server.shutdown_delay
        status = f"draining for at most {delay + server.drain:g}s"
        logger.info(status)
        if not self._replaced:
            self._notifier.stopping(status)
        self.workers.settle()
        drain = Drain.after(time.monotonic(), delay, server.drain)
        if self._bound is not None:
            self._bound.let_go()
        self.workers.tell("drain", begun=drain.begun, end=drain.end)
        if delay and await self._sleep(delay):
            return
        self._close()
        done = asyncio.ensure_future(self.workers.ended(server.drain + AFTER_DRAIN + PATIENCE))
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((done, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not self._stopping.is_set():
            await self.workers.kill()
        await self.stop()

    async def _sleep(self, seconds: float) -> bool:
        """Whether the machine was stopped meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def stop(self) -> None:
        """Stops now. Asked again it waits for that."""
        if not self._stopping.is_set():
            self.draining = True
            self._stopping.set()
            try:
                await self._stop()
            finally:
                self._stopped.set()
        await self._stopped.wait()

    async def _stop(self) -> None:
        self._close()
        if hasattr(self, "workers"):
            self.workers.settle()
            self.workers.tell("stop")
            await self.workers.ended(TO_STOP)
            await self.workers.kill()
        if self._admin is not None:
            await self._admin.stop()
        if hasattr(self, "_estate"):
            self._estate.close()
        if self.directory is not None:
            self.directory.remove()
            self.directory = None
            logger.info("stopped")

    def _close(self) -> None:
        """The machine listens on nothing any more, but for what workers still take."""
        if self._bound is not None:
            self._bound.close()

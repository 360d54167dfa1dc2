"""The process that `gateway run` is when several serve: it opens the sockets, starts the workers, watches over them,
and passes on what it is told. It touches no call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from gateway.admin.listener import AdminListener
from gateway.app import AFTER_DRAIN
from gateway.descriptors import Descriptors
from gateway.drain import Drain
from gateway.edge.listen import Bound, bind_all
from gateway.loading import Read, build
from gateway.machine.admin.api import make_machine_admin
from gateway.machine.admin.crew import Crew
from gateway.machine.directory import Directory, make_directory
from gateway.machine.headcount import Headcount
from gateway.machine.kept import keep
from gateway.machine.launch import Life, Machine
from gateway.machine.notify import Notifier
from gateway.machine.part import Part
from gateway.machine.planning import planned
from gateway.machine.workers import Workers
from gateway.policies.rate_limit import Screen
from gateway.state.memory import MemoryStore
from gateway.telemetry.places import log_file

logger = logging.getLogger("gateway")

PATIENCE = 5.0  # seconds by which a worker may be late with its end
AFTER_US = 0.05  # seconds after which workers close what we have closed
TO_STOP = 3.0  # seconds a worker has for an end without a drain


class Supervisor:
    """`await start()`, then `reload()`, `drain()` or `stop()`, as of an `App`.

    Raises StartError, ConfigError, ValueError or OSError from `start`, each with sentences for the operator.
    """

    def __init__(self, path: Path, read: Read, workers: int, notifier: Notifier) -> None:
        self.path = path
        self.draining = False
        self.reloaded = 0
        self.began = time.monotonic()
        self._config, self._notices = read
        self._count = workers
        self._notifier = notifier
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._turn = asyncio.Lock()
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
        files = self._tried()
        self.directory = make_directory()
        self._bound = bind_all(self._config.server)
        self._headcount = Headcount.make(self.directory.path, self._count)
        keep(self._config, self.directory.path)
        for notice in self._notices:
            logger.warning("%s", notice)
        for line in planned(self._config, self._count, files):
            logger.info("%s", line)
        self.workers = Workers(Machine(self.path, self._count, self._bound.sockets, self.directory), self._gone)
        await self._open_admin(self.directory.path)
        await self.workers.start()
        logger.info("serving with %d workers", len(self.workers.ready))
        self._notifier.ready(self._status())

    async def _open_admin(self, directory: Path) -> None:
        """It answers for all workers, from before the first of them serves until after the last one has ended."""
        if self._config.admin is not None:
            crew = Crew(self, directory, self._count, log_file(self._config.log))
            self._admin = AdminListener(self._config.admin, partial(make_machine_admin, crew))
            await self._admin.start()

    def _tried(self) -> Descriptors:
        """Whatever is wrong with the configuration is found before anybody can connect."""
        part = Part(workers=self._count)
        screen = Screen(MemoryStore(), time.monotonic)
        return build(self.path, time.time, screen, part=part, read=(self._config, [])).files

    def _gone(self, life: Life) -> None:
        """What a worker had is free before the others hear of its end."""
        self._headcount.gone(life.number)

    def _status(self) -> str:
        return f"serving with {len(self.workers.ready)} of {self._count} workers"

    # -- another configuration -----------------------------------------------------------------------------------

    async def reload(self) -> list[str]:
        """All workers, or none. Returns the problems, each one line."""
        async with self._turn:
            if self.draining:
                return ["the gateway is draining; start it again instead"]
            self._notifier.reloading()
            try:
                return await self._reload()
            finally:
                self._notifier.ready(self._status())

    async def _reload(self) -> list[str]:
        prepared = await self.workers.ask("prepare_reload")
        problems = [problem for answer in prepared.values() for problem in _problems(answer)]
        if problems:
            self.workers.tell("abandon_reload")
            return list(dict.fromkeys(problems))
        await self.workers.ask("commit_reload")
        self.reloaded += 1
        return []

    # -- the end -------------------------------------------------------------------------------------------------

    def begin_drain(self) -> dict[str, object]:
        """Drains and stops, as SIGTERM does; returns what will happen. Asked again it begins nothing new."""
        if self._began_drain is None:
            self._began_drain = asyncio.ensure_future(self.drain())
        server = self._config.server
        return {"draining": True, "listeners_close_in": server.shutdown_delay, "window": server.drain}

    async def wait_stopped(self) -> None:
        await self._stopped.wait()

    async def drain(self) -> None:
        """All workers turn red together, and close their listeners together. We let go of the sockets before they do:
        the last of them to close takes whoever is in a queue by then, and nobody comes into it after that."""
        if self.draining:
            return
        self.draining = True
        server = self._config.server
        self._notifier.stopping(f"draining for at most {server.shutdown_delay + server.drain:g}s")
        self.workers.settle()
        now = asyncio.get_running_loop().time()
        drain = Drain.after(now, server.shutdown_delay + AFTER_US, server.drain)
        self.workers.tell("drain", begun=drain.begun, end=drain.end)
        if await self._sleep(server.shutdown_delay):
            return
        self._close()
        done = asyncio.ensure_future(self.workers.ended(server.drain + AFTER_DRAIN + PATIENCE))
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait((done, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
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
        if self.directory is not None:
            self.directory.remove()
            self.directory = None

    def _close(self) -> None:
        """The machine listens on nothing any more, but for what workers still take."""
        if self._bound is not None:
            self._bound.close()


def _problems(answer: object) -> list[str]:
    """Of one worker. One that is gone or failed has not swapped either."""
    if isinstance(answer, BaseException):
        return [f"a worker could not tell whether it can reload: {answer}"]
    assert isinstance(answer, dict)
    return list(answer["problems"])

"""Reloading, one at a time and in two steps: the new configuration is built in a thread, and then swapped in within one
turn of the loop. Or it has problems, nothing changes, and everybody who looks is told.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Future

from gateway.config.problems import ConfigError
from gateway.loading import Built

logger = logging.getLogger("gateway")

PATIENCE = 30.0  # seconds a configuration may take to be read and built


class Reloads:
    """`load` builds what is in the file now, in a thread, within `patience`, and raises like `loading.build`; `swap`
    makes it count, on the loop: for this process at once, for several it may take its time. `wall` is Unix seconds."""

    def __init__(
        self, load: Callable[[], Built], swap: Callable[[Built], Awaitable[None] | None], wall: Callable[[], float],
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self.counts = {"ok": 0, "failed": 0}
        self.failure: str | None = None  # of the last one, if it failed
        self.last = 0.0  # Unix seconds; 0 before the first
        self._load = load
        self._swap = swap
        self._wall = wall
        self._patience = patience
        self._ready: Built | None = None  # built, and not yet swapped in
        self._turn = asyncio.Lock()

    async def run(self, wanted: Callable[[], bool]) -> list[str]:
        """The problems, each one line; none when the new configuration counts. Nothing is swapped in that is not
        `wanted` any more."""
        async with self._turn:
            problems = await self.prepare(self._load)
            if problems or not wanted():
                self.abandon()
                return problems
            return await self.commit()

    async def prepare(self, load: Callable[[], Built]) -> list[str]:
        """The first step: nothing counts yet. What was built before, and never counted, is forgotten."""
        self.abandon()
        try:
            async with asyncio.timeout(self._patience):
                self._ready = await _aside(load)
        except Exception as error:
            return self._keep(_said(error, self._patience))
        return []

    def abandon(self, problems: Sequence[str] = ()) -> None:
        """What was built shall not count after all: because of these, where others have told of them already."""
        self._ready = None
        if problems:
            self._note(problems[0])

    async def commit(self) -> list[str]:
        """The second step: what was built counts from now on."""
        built, self._ready = self._ready, None
        try:
            if built is None:
                raise ValueError("there is nothing that could count; reload again")
            swapped = self._swap(built)
            if swapped is not None:
                await swapped
        except Exception as error:
            return self._keep(_said(error, self._patience))
        self.counts["ok"] += 1
        self.failure, self.last = None, self._wall()
        path = built.config.path
        del built
        gc.collect(1)  # the old configuration, while it is young: frozen objects and parked calls are not looked at
        logger.info("reloaded; what begins from now on follows %s", path)
        return []

    def _keep(self, problems: list[str]) -> list[str]:
        self._note(problems[0])
        for problem in problems:
            logger.error("reload: %s", problem)
        logger.error("reload: nothing was changed; the configuration before it counts")
        return problems

    def _note(self, problem: str) -> None:
        self.last = self._wall()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.last))
        self.counts["failed"] += 1
        self.failure = f"the reload at {at} failed and the configuration before it counts: {problem}"


def _aside(work: Callable[[], Built]) -> asyncio.Future[Built]:
    """Does it in a thread that neither the end of the process nor the next reload waits for: a file may be a pipe to
    which nobody writes, or its disk may not answer."""
    found: Future[Built] = Future()
    found.set_running_or_notify_cancel()

    def run() -> None:
        try:
            found.set_result(work())
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=run, name="reload", daemon=True).start()
    return asyncio.wrap_future(found)


def _said(error: Exception, patience: float) -> list[str]:
    """The sentences for the operator. A bug is his too: what was asked for has not happened."""
    match error:
        case TimeoutError():
            words = "the files were not read in time ({:g}s at most); look for a pipe among them, or a disk that hangs"
            return [words.format(patience)]
        case OSError(filename=str() as file, strerror=reason):
            remedy = "make room there" if error.errno == errno.ENOSPC else "check the file"
            return [f"{file}: {reason}; {remedy}"]
        case OSError() | ConfigError() | ValueError():
            return str(error).splitlines()
    logger.error("reload: an error of the gateway's own", exc_info=error)
    return [f"an error of the gateway's own ({type(error).__name__}); report it with the log"]

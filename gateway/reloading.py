"""Reloading, one at a time: the new configuration is built in a thread and swapped in within one turn of the loop, or
it has problems, nothing changes, and everybody who looks is told.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable

from gateway.config.problems import ConfigError
from gateway.loading import Built

logger = logging.getLogger("gateway")


class Reloads:
    """`load` builds what is in the file now, in a thread, and raises like `loading.build`; `swap` makes it count, on
    the loop. `wall` is Unix seconds."""

    def __init__(self, load: Callable[[], Built], swap: Callable[[Built], None], wall: Callable[[], float]) -> None:
        self.counts = {"ok": 0, "failed": 0}
        self.failure: str | None = None  # of the last one, if it failed
        self.last = 0.0  # Unix seconds; 0 before the first
        self._load = load
        self._swap = swap
        self._wall = wall
        self._turn = asyncio.Lock()

    async def run(self, wanted: Callable[[], bool]) -> list[str]:
        """The problems, each one line; none when the new configuration counts. Nothing is swapped in that is not
        `wanted` any more."""
        async with self._turn:
            try:
                built = await asyncio.to_thread(self._load)
                if not wanted():
                    return []
                self._swap(built)
            except (ConfigError, ValueError) as error:
                return self._keep(str(error).splitlines())
            except OSError as error:
                return self._keep([f"{error.filename}: {error.strerror}" if error.filename else str(error)])
            self.counts["ok"] += 1
            self.failure, self.last = None, self._wall()
            gc.collect(1)  # the old configuration, while it is young: frozen objects and parked calls are not looked at
            logger.info("reloaded; what begins from now on follows %s", built.config.path)
            return []

    def _keep(self, problems: list[str]) -> list[str]:
        self.last = self._wall()
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.last))
        self.counts["failed"] += 1
        self.failure = f"the reload at {at} failed and the configuration before it counts: {problems[0]}"
        for problem in problems:
            logger.error("reload: %s", problem)
        logger.error("reload: nothing was changed; the configuration before it counts")
        return problems

"""What a supervisor does for the state that its workers share: its memory is there before anybody is let in, it is
looked after for as long as there are workers, and what a dead one had is given back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.machine.handover import inherit
from gateway.state.keeper import Keeper

if TYPE_CHECKING:
    from gateway.config.schema.server import State

logger = logging.getLogger("gateway")

OFTEN = 1.0  # seconds between two looks


class Estate:
    """`forward` passes word on to a worker, by its owner. State that is not of this machine needs none of it."""

    def __init__(self, state: State, directory: Path, forward: Callable[[str, str, dict[str, Any]], None]) -> None:
        self._forward = forward
        self._directory = directory
        self._size = state.size
        self._task: asyncio.Task[None] | None = None
        self._keeper: Keeper | None = None
        if state.url.kind == "shared":
            self._keeper = Keeper(directory / "state", state.size)

    def open(self, before: Path | None) -> None:
        """What the workers of the machine `before` count goes on: theirs and ours count together. Raises StateError
        where the memory is not to be had."""
        if self._keeper is not None:
            if before is not None:
                inherit(before, self._directory, self._size)
            self._keeper.open()
            self._task = asyncio.ensure_future(self._look_after(self._keeper))

    async def _look_after(self, keeper: Keeper) -> None:
        while True:
            await asyncio.sleep(OFTEN)
            try:
                await keeper.tick()
            except Exception:
                logger.exception("the state of the workers could not be looked after")

    async def bury(self, owner: str) -> None:
        if self._keeper is not None:
            for heir, word in await self._keeper.bury(owner):
                self._forward(heir, "heard", {"word": word})

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._keeper is not None:
            self._keeper.close()

"""Whether the workers of a machine still live: each gives a sign of life twice a second, and its supervisor looks for
that once a second. One that hangs, or was stopped, is killed, so that another is started. Looks are counted and not
seconds: while a machine is suspended, or its supervisor stands still, there are none, whatever a clock says then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

logger = logging.getLogger("gateway")

BEAT, OFTEN = 0.5, 1.0  # seconds between two signs of life, and between two looks
SLACK = 2  # looks without a sign of life that are nothing
MUTE = 10  # looks after which nobody waits for an answer any more
HUNG = 30  # looks at which others spoke and this one did not, after which it is killed
LONG = 120  # looks for one that does not serve yet, and where nobody spoke


class Pulse:
    """Of one process. `silent`: looks in a row without a sign of life; `against`: those of them that are its own fault,
    for others spoke meanwhile; `mute` is set while nobody need wait for it."""

    def __init__(self) -> None:
        self.silent = 0
        self.against = 0
        self.given_up = False
        self.mute = asyncio.Event()

    def beats(self) -> None:
        self.silent = self.against = 0
        self.mute.clear()

    def look(self) -> None:
        self.silent += 1
        if self.silent >= MUTE:
            self.mute.set()


class Watched(Protocol):
    """A worker's process; see `launch.Life`."""

    number: int
    served: bool
    pulse: Pulse

    @property
    def pid(self) -> int: ...

    def kill(self, why: str) -> None: ...


class Watch:
    """`lives` are the workers of this moment, by number."""

    def __init__(self, lives: Mapping[int, Watched]) -> None:
        self._lives = lives
        self._nobody = 0  # looks in a row at which none of several spoke: what stops all at once is no fault of theirs

    async def run(self) -> None:
        while True:
            await asyncio.sleep(OFTEN)
            self.look()

    def look(self) -> None:
        for life in self._lives.values():
            life.pulse.look()
        serving = [life for life in self._lives.values() if life.served]
        silent = [life for life in serving if life.pulse.silent > SLACK]
        self._nobody = self._nobody + 1 if len(silent) == len(serving) > 1 else 0
        for life in () if self._nobody else silent:
            life.pulse.against += 1
        if self._nobody == HUNG:
            logger.warning(
                "none of %d workers has answered for %ds; if that goes on, all are killed in %ds, and started again",
                len(silent), HUNG + SLACK, LONG - HUNG,
            )  # fmt: skip
        for life in list(self._lives.values()):
            if self._hangs(life) and not life.pulse.given_up and not _is_debugged(life.pid):
                self._give_up(life)

    def _hangs(self, life: Watched) -> bool:
        if not life.served:
            return life.pulse.silent >= LONG
        return life.pulse.against >= HUNG or self._nobody >= LONG

    def _give_up(self, life: Watched) -> None:
        life.pulse.given_up = True
        logger.error(
            "worker %d (pid %d) has not answered for %ds: it hangs, or was stopped; it is killed",
            life.number, life.pid, life.pulse.silent,
        )  # fmt: skip
        life.kill("it did not answer")


def _is_debugged(pid: int) -> bool:
    """Whether somebody holds it by ptrace(2) just now, and will let it go on."""
    with suppress(OSError):
        return "\nTracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    return False

"""The workers of a machine: each a process that is started, watched, and started again when it ends; one that ends
again and again is started ever more rarely. Says why each of them ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gateway.machine.launch import LaunchError, Life, Machine
from gateway.machine.link import LinkLostError, RemoteError
from gateway.machine.pulse import Watch

logger = logging.getLogger("gateway")

FIRST, MOST = 0.1, 10.0  # seconds until a worker that ended is started again; twice as many each time
LIVED = 10.0  # seconds after which a worker has lived, and its end is a first one
MOST_DEAD = 64  # of whom those that come are told: there may have been nobody to hear of it in time


class StartError(Exception):
    """No worker could be started; the text is the workers' own, and `code` the exit code that goes with it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Workers:
    """`gone` is called for each that ended, before it is started again and the others, and those who come later, are
    told."""

    def __init__(self, machine: Machine, gone: Callable[[Life], Awaitable[None]]) -> None:
        self.lives: dict[int, Life] = {}  # by number: who is there now
        self.restarts: Counter[int] = Counter()  # by number
        self.buried: dict[int, float] = {}  # when the last of a number ended: loop seconds
        self.elsewhere: Callable[[str, str, dict[str, Any]], object] = lambda to, name, data: None
        self.watch = Watch(self.lives)
        self._machine = machine
        self._gone = gone
        self._begun = asyncio.Event()
        self._ending = asyncio.Event()
        self._dead: deque[str] = deque(maxlen=MOST_DEAD)  # owners
        self._keepers: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def ready(self) -> list[Life]:
        """Those that serve, in order."""
        return [self.lives[number] for number in sorted(self.lives) if self.lives[number].serves]

    async def start(self) -> None:
        """Returns when each has begun to serve, or failed to for the first time. Raises StartError if all failed."""
        loop = asyncio.get_running_loop()
        firsts: list[asyncio.Future[Life]] = [loop.create_future() for _ in range(self._machine.workers)]
        self._watching = loop.create_task(self.watch.run())
        self._keepers = [loop.create_task(self._keep(number, first)) for number, first in enumerate(firsts)]
        lives = await asyncio.gather(*firsts)
        if not any(life.served for life in lives):
            self._ending.set()
        self._begun.set()
        if self._ending.is_set():
            await self.kill()
            codes, texts = zip(*[life.failed_with for life in lives], strict=True)
            raise StartError(codes[0], "\n".join(dict.fromkeys(texts)))

    def tell(self, name: str, **data: object) -> None:
        for life in self.ready:
            life.link.tell(name, **data)

    async def ask(self, name: str, **data: object) -> dict[int, Any]:
        """What each worker that serves answers, by its number; or the LinkLostError or RemoteError why it did not."""
        asked = self.ready
        answers = await asyncio.gather(*[life.link.ask(name, **data) for life in asked], return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, LinkLostError | RemoteError):
                raise answer
        return {life.number: answer for life, answer in zip(asked, answers, strict=True)}

    def forward(self, to: str, name: str, data: dict[str, Any]) -> None:
        """Word from one worker to another, by its owner. One that is gone gets none; one that is not ours may be of the
        machine before, or of the one after."""
        if not self.deliver(to, name, data):
            self.elsewhere(to, name, data)

    def deliver(self, to: str, name: str, data: dict[str, Any]) -> bool:
        """Whether it is one of ours."""
        found = [life for life in self.ready if life.owner == to]
        for life in found:
            life.link.tell(name, **data)
        return bool(found)

    # -- the end -------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Starts none again. One that does not serve yet has nothing to lose."""
        self._ending.set()
        self._begun.set()
        for life in self.lives.values():
            if not life.serves:
                life.kill()

    async def ended(self, within: float) -> bool:
        """Whether all have ended, at the latest after so many seconds."""
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=within)
        return all(task.done() for task in self._keepers)

    async def kill(self) -> None:
        self.settle()
        for life in self.lives.values():
            if life.serves:
                logger.error("worker %d (pid %d) does not end, and is killed", life.number, life.pid)
            life.kill()
        await asyncio.gather(*self._keepers)
        if self._watching is not None:
            self._watching.cancel()

    # -- one of them, for as long as there is a machine ------------------------------------------------------------

    async def _keep(self, number: int, first: asyncio.Future[Life]) -> None:
        """`first` is told of the first process, when it serves or has ended without."""
        loop = asyncio.get_running_loop()
        pause = FIRST
        while not self._ending.is_set():
            began = loop.time()
            try:
                life = self.lives[number] = await Life.begin(self._machine, number, {"pass": self.forward})
            except LaunchError as error:
                _fail(first, LaunchError(error.errno, f"a worker {error.strerror}"))
                how = str(error.strerror)
            else:
                if self._ending.is_set():
                    life.kill()  # who told the others to end did not know of it
                life.when_served(partial(self._serves, first, life))
                await life.end()
                await self._bury(life)
                _tell(first, life)
                pause = FIRST if loop.time() - began >= LIVED else pause
                how = life.how
            await self._begun.wait()
            self._say(number, how, pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(2 * pause, MOST)

    def _serves(self, first: asyncio.Future[Life], life: Life) -> None:
        _tell(first, life)
        for owner in self._dead:
            life.link.tell("gone", owner=owner)

    async def _bury(self, life: Life) -> None:
        del self.lives[life.number]
        self.buried[life.number] = asyncio.get_running_loop().time()
        try:
            await self._gone(life)
        except Exception:  # a bug there leaves nobody without a worker
            logger.exception("what worker %d had could not be given back", life.number)
        if life.owner:
            self._dead.append(life.owner)
            self.tell("gone", owner=life.owner)

    def _say(self, number: int, how: str, pause: float) -> None:
        if not self._ending.is_set():
            self.restarts[number] += 1
            logger.error("worker %d %s; it is started again in %gs", number, how, pause)


def _tell(first: asyncio.Future[Life], life: Life) -> None:
    if not first.done():
        first.set_result(life)


def _fail(first: asyncio.Future[Life], error: OSError) -> None:
    if not first.done():
        first.set_exception(error)

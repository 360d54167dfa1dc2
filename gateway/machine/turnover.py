"""Another configuration for all workers of a machine, or for none. The supervisor reads the files once and keeps them
in the machine's directory; every worker builds what it finds there, and when all have, all let it count.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.config.disk import Copy, reading
from gateway.loading import Built, build, for_a_restart
from gateway.machine.link import LinkLostError, RemoteError
from gateway.machine.part import Part
from gateway.policies.rate_limit import Screen
from gateway.reloading import Reloads
from gateway.state.memory import MemoryStore

if TYPE_CHECKING:
    from gateway.config.settings import Config
    from gateway.machine.launch import Life
    from gateway.machine.workers import Workers

logger = logging.getLogger("gateway")

PATIENCE = 30.0  # seconds a worker may take to build what it is to follow
PROMPT = 5.0  # seconds it may take to let that count
_COUNTS = "files"  # the name of what counts, in the machine's directory


def kept(directory: Path) -> Copy:
    """The files that count on this machine. A worker that starts follows them, whatever lies on the disk by now."""
    return Copy(directory / os.readlink(directory / _COUNTS))


class Turnover:
    """`config` is what counts. `workers` are asked once they are there."""

    def __init__(self, path: Path, directory: Path, workers: int) -> None:
        self.config: Config
        self.opened: Config  # at the start
        self.reloads = Reloads(self._read, self._hand_out, time.time, PATIENCE)
        self._path = path
        self._directory = directory
        self._part = Part(workers=workers)
        self._numbers = count()
        self._fresh = directory  # the files that were read last
        self._workers: Workers | None = None

    def begin(self) -> Built:
        """Reads what counts from the start on. Whatever is wrong with it is found before anybody can connect."""
        built = self._read()
        self.config = self.opened = built.config
        self._keep(self._fresh)
        return built

    def serve(self, workers: Workers) -> None:
        self._workers = workers

    async def reload(self, wanted: Callable[[], bool]) -> list[str]:
        """The problems, each one line; with any of them nothing has changed, in no worker."""
        problems = await self.reloads.run(wanted)
        if problems and self._workers is not None:
            self._workers.tell("abandon_reload", problems=problems)
        return problems

    def _read(self) -> Built:
        """What is in the files now. They are kept as they were when they were first looked at."""
        fresh = self._directory / f"{_COUNTS}-{next(self._numbers)}"
        try:
            with reading(Copy(fresh, making=True)):
                built = build(self._path, time.time, Screen(MemoryStore(), time.monotonic), part=self._part)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        self._fresh = fresh
        return built

    def _keep(self, files: Path) -> None:
        """From now on they count for every worker that starts; those before them are not needed any more."""
        new = self._directory / f"{_COUNTS}.new"
        new.symlink_to(files.name)
        new.replace(self._directory / _COUNTS)
        for other in self._directory.glob(f"{_COUNTS}-*"):
            if other != files:
                shutil.rmtree(other, ignore_errors=True)

    async def _hand_out(self, built: Built) -> None:
        """Raises ValueError when one could not follow: then none does."""
        files, workers = self._fresh, self._workers
        assert workers is not None
        ready: dict[Life, None] = {}
        while fresh := [life for life in workers.lives.values() if life not in ready]:
            ready |= dict.fromkeys(fresh)
            _agreed(await _ask(fresh, PATIENCE, "prepare_reload", files=str(files)))
        self._keep(files)
        self.config = built.config
        for notice in (*built.notices, *for_a_restart(self.opened, built.config)):
            logger.warning("%s", notice)
        answers = await _ask(ready, PROMPT, "commit_reload")
        for life, answer in answers.items():
            if not isinstance(answer, LinkLostError) and answer != []:
                logger.error(
                    "worker %d did not follow the new configuration (%s); it is started again", life.number, answer
                )
                life.kill("it did not follow a reload")


class SilentError(Exception):
    """A worker shows no sign of life, so nobody waits for it."""

    def __init__(self, life: Life) -> None:
        super().__init__(f"no sign of life for {life.pulse.silent}s")


async def _ask(lives: Collection[Life], within: float, name: str, **data: object) -> dict[Life, Any]:
    """What each answers, or the error instead: one that is gone, or silent for too long, holds nobody up."""

    async def answer(life: Life) -> Any:
        try:
            async with asyncio.timeout(within):
                return await _unless_mute(life, name, data)
        except TimeoutError:
            return TimeoutError(f"no answer in {within:g}s")
        except (LinkLostError, RemoteError, SilentError) as error:
            return error

    return dict(zip(lives, await asyncio.gather(*map(answer, lives)), strict=True))


async def _unless_mute(life: Life, name: str, data: dict[str, object]) -> Any:
    """Its answer. Raises SilentError when it shows no sign of life, or has not for a while; one that does not serve yet
    may be building what it is to serve."""
    if not life.served:
        return await life.link.ask(name, **data)
    if life.pulse.mute.is_set():
        raise SilentError(life)
    asked, silence = asyncio.ensure_future(life.link.ask(name, **data)), asyncio.ensure_future(life.pulse.mute.wait())
    try:
        await asyncio.wait((asked, silence), return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return asked.result()
        raise SilentError(life)
    finally:
        asked.cancel()
        silence.cancel()


def _agreed(answers: dict[Life, Any]) -> None:
    """Raises ValueError unless all can follow. Who is gone meanwhile does not matter: the next one in its place begins
    with what counts then."""
    problems: dict[str, None] = {}
    for life, answer in answers.items():
        if isinstance(answer, TimeoutError):
            problems[f"worker {life.number} did not build the new configuration in {PATIENCE:g}s; reload again"] = None
        elif isinstance(answer, SilentError):
            problems[
                f"worker {life.number} (pid {life.pid}) does not answer ({answer}): it hangs, or was stopped; reload "
                "again when another was started in its place"
            ] = None
        elif isinstance(answer, RemoteError):
            problems[f"worker {life.number} could not build the new configuration: {answer}"] = None
        elif not isinstance(answer, LinkLostError):
            problems |= dict.fromkeys(answer)
    if problems:
        raise ValueError("\n".join(problems))

"""Questions about calls that are over, asked of `python -m gateway.past.worker`: the database runs in a process of its
own, one at a time, and ends when it takes too long, says too much, or nobody listens any more. The loop never waits.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import orjson

logger = logging.getLogger("gateway")

COMMAND = (sys.executable, "-P", "-m", "gateway.past.worker")  # -P: what lies in the working directory is no module
TIMEOUT = 20.0  # seconds for one answer
MOST_WAITING = 3  # questions that wait for their turn
MOST_BYTES = 16 * 1024 * 1024  # of an answer
MEMORY = 4 * 1024**3  # bytes of address space: a net below the bound that the database keeps itself
NICE = 10  # polls come first
WATCH = 0.1  # seconds between two looks at whether anybody still listens
# Everything else may be a secret.
PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")


class NoAnswerError(Exception):
    """Why there is none: the status for whoever asked, and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Worker:
    """Answers one question at a time."""

    def __init__(self, command: Sequence[str] = COMMAND, timeout: float = TIMEOUT) -> None:
        self._command = command
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def ask(self, question: Mapping[str, object], wanted: Callable[[], bool]) -> dict[str, object]:
        """The answer, for as long as `wanted()`. Raises NoAnswerError."""
        if self._waiting > MOST_WAITING:
            raise NoAnswerError(
                429, "others ask about past calls, and one is answered at a time; ask again in a moment"
            )
        self._waiting += 1
        try:
            async with self._turn:
                return _read(await self._run(orjson.dumps(question), wanted))
        finally:
            self._waiting -= 1

    async def _run(self, question: bytes, wanted: Callable[[], bool]) -> bytes:
        if not wanted():
            raise NoAnswerError(400, "nobody listens any more")
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=_environment(), start_new_session=True
        )
        talk = asyncio.ensure_future(_talk(process, question))
        try:
            _bound(process.pid)
            await self._watch(talk, wanted)
            return talk.result()
        finally:
            talk.cancel()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # it leads a session of its own
            await asyncio.wait([talk])
            await process.communicate()  # a pipe that is not read to its end keeps the process from being over

    async def _watch(self, talk: asyncio.Future[bytes], wanted: Callable[[], bool]) -> None:
        end = asyncio.get_running_loop().time() + self._timeout
        while not (await asyncio.wait([talk], timeout=WATCH))[0]:
            if asyncio.get_running_loop().time() > end:
                raise NoAnswerError(504, f"there was no answer within {self._timeout:g} s; ask for a shorter time")
            if not wanted():
                raise NoAnswerError(400, "nobody listens any more")


async def _talk(process: Process, question: bytes) -> bytes:
    """Asks and listens. Raises NoAnswerError."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    complaint = asyncio.ensure_future(process.stderr.read(4096))
    try:
        with suppress(ConnectionError):
            process.stdin.write(question)
            process.stdin.close()
        told = await _up_to(process.stdout, MOST_BYTES)
        if told is None:
            raise NoAnswerError(400, f"the answer has more than {MOST_BYTES} bytes; ask for less by limit")
        if told or not (said := await complaint):
            return told
        logger.error("a question about past calls failed: %s", said.decode("utf-8", "replace").strip()[-1000:])
        raise NoAnswerError(500, "an error of the gateway's own; its log says more")
    finally:
        complaint.cancel()


async def _up_to(stream: asyncio.StreamReader, most: int) -> bytes | None:
    """Everything; None if it is more than that."""
    try:
        await stream.readexactly(most + 1)
    except asyncio.IncompleteReadError as error:
        return error.partial
    return None


def _environment() -> dict[str, str]:
    """What a Python and its database need to begin, and where this gateway's own modules are."""
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    own = str(Path(__file__).parents[2])
    return {**passed, "PYTHONPATH": os.pathsep.join([own, *filter(None, [passed.get("PYTHONPATH")])])}


def _bound(pid: int) -> None:
    """Limits what a process may take, where the system can; it may be gone by now."""
    with suppress(OSError, ValueError):
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        if hasattr(resource, "prlimit"):
            resource.prlimit(pid, resource.RLIMIT_AS, (MEMORY, MEMORY))


def _read(told: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(told)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        logger.error("a question about past calls was answered with %d bytes that are no answer", len(told))
        raise NoAnswerError(500, "an error of the gateway's own; its log says more")
    if isinstance(found.get("error"), str):
        raise NoAnswerError(400, found["error"])
    return found

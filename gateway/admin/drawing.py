"""Plots are drawn by a process of its own that lives while somebody looks at them: the library for it is slow to begin,
takes memory, and would keep the loop waiting for its thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress

import orjson

from gateway.admin.worker import NICE, PASSED, NoAnswerError

logger = logging.getLogger("gateway")

COMMAND = (sys.executable, "-m", "gateway.admin.draw")
IDLE = 30.0  # seconds without a question after which the process ends
TIMEOUT = 20.0  # seconds for one answer, the start of the process among them
MOST_WAITING = 4  # questions
MOST_BYTES = 8 * 1024 * 1024  # of an answer


class Drawing:
    """Draws one question after the other. `close()` ends the process."""

    def __init__(self, command: Sequence[str] = COMMAND, timeout: float = TIMEOUT, idle: float = IDLE) -> None:
        self._command = command
        self._timeout = timeout
        self._idle = idle
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._process: Process | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._dying: set[asyncio.Task[int]] = set()
        self._closed = False

    async def draw(self, question: Mapping[str, object]) -> str:
        """Figures as HTML. Raises NoAnswerError."""
        try:
            asked = orjson.dumps(question) + b"\n"
        except orjson.JSONEncodeError:  # tables in tables in tables
            raise NoAnswerError(400, "the plot is nested too deeply; ask as the dashboard does") from None
        if self._waiting >= MOST_WAITING:
            raise NoAnswerError(429, "others are being drawn; ask again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                if self._closed:
                    raise NoAnswerError(503, "the gateway ends")
                return await self._drawn(asked)
        finally:
            self._waiting -= 1

    async def _drawn(self, question: bytes) -> str:
        try:
            async with asyncio.timeout(self._timeout):
                told = orjson.loads(await self._talk(question))
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            self._end()
            if not self._closed:
                logger.error("a plot could not be drawn: %s", repr(error))
            raise NoAnswerError(500, "the plot could not be drawn; the log says more") from None
        except BaseException:  # nobody waits any more, and half an answer is still to come
            self._end()
            raise
        if "error" in told:
            raise NoAnswerError(400, told["error"])
        return str(told["html"])

    async def _talk(self, question: bytes) -> bytes:
        process = await self._living()
        if self._closed:  # while it was begun
            self._end()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(question)
        await process.stdin.drain()
        told = await process.stdout.readuntil(b"\n")
        self._handle = asyncio.get_running_loop().call_later(self._idle, self._end)
        return told

    async def _living(self) -> Process:
        """The process, begun if there is none; it does not end while it is asked."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._process is None or self._process.returncode is not None:
            environment = {name: os.environ[name] for name in PASSED if name in os.environ}
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, limit=MOST_BYTES,
                start_new_session=True,
            )  # fmt: skip
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, self._process.pid, NICE)
        return self._process

    def _end(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            task = asyncio.ensure_future(process.wait())
            self._dying.add(task)
            task.add_done_callback(self._dying.discard)

    async def close(self) -> None:
        """Ends the process, whatever it draws; who waits for that is told so."""
        self._closed = True
        self._end()
        async with self._turn:
            self._end()
        await asyncio.gather(*self._dying)

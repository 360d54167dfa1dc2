"""A Redis server of a case's own, on a port of its own, which can be killed, stopped and started anew, empty; and a
relay before it that can be slow, or cut as a cable is: then nothing passes, and nobody is told.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from tests.bench.process import Process, free_ports, spawn
from tests.kit.redis_server import program

EMPTY = ["--save", "", "--appendonly", "no"]


class Redis:
    """`process` is the server of this moment."""

    process: Process

    def __init__(self, stack: ExitStack, folder: Path, env: Mapping[str, str] | None = None) -> None:
        (self.port,) = free_ports(1)
        self._stack = stack
        self._folder = folder
        self._env = env
        self._started = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        """A fresh server at the same port, which knows nothing."""
        self._started += 1
        argv = [program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder), *EMPTY]
        name = f"redis-{self._started}"
        self.process = self._stack.enter_context(spawn(name, argv, None, self._folder, self._env))
        await self.process.listening(self.port)

    def kill(self) -> None:
        self.process.kill()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It lives and does nothing: connections are made, and nothing is answered."""
        self.process.tell(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.tell(signal.SIGCONT)

    async def do(self, *words: str) -> str:
        """The first line of what it answers."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            writer.write(f"*{len(words)}\r\n{parts}".encode())
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()


@asynccontextmanager
async def redis(folder: Path, env: Mapping[str, str] | None = None) -> AsyncIterator[Redis]:
    with ExitStack() as stack:
        server = Redis(stack, folder, env)
        await server.start()
        yield server


class Relay:
    """`port` leads to the server. Whatever passes comes `delay` seconds late; while it is `cut` nothing passes, and
    what was on the way arrives when it is mended."""

    port: int

    def __init__(self, to: int) -> None:
        self.delay = 0.0
        self._to = to
        self._whole = asyncio.Event()
        self._whole.set()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):  # the case is over
            await self._whole.wait()
            back, forth = await asyncio.open_connection("127.0.0.1", self._to)
            await asyncio.gather(self._pass(reader, forth), self._pass(back, writer))
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """In order: each piece waits for its time."""
        loop, due = asyncio.get_running_loop(), asyncio.Queue[tuple[float, bytes]]()
        sending = asyncio.create_task(self._send(due, writer))
        with suppress(OSError):
            while data := await reader.read(65536):
                due.put_nowait((loop.time() + self.delay, data))
        due.put_nowait((loop.time() + self.delay, b""))
        await sending

    async def _send(self, due: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            at, data = await due.get()
            await asyncio.sleep(at - asyncio.get_running_loop().time())
            await self._whole.wait()
            if not data:
                break
            writer.write(data)
        writer.close()


@asynccontextmanager
async def relay(to: int) -> AsyncIterator[Relay]:
    made = Relay(to)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()

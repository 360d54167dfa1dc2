"""Requests and answers made to cost more memory than they should: what the gateway takes for each stays within the
buffers it has for a connection, and what is too large is told so (row 24).
"""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.bench.wire import answer_end

from .abuse import deep_stage
from .sheet import Sheet
from .stage import Chaos
from .waiting import reached

KIB, MIB = 1024, 1024 * 1024
PIECE = 256 * KIB  # the most a loop reads at once
UNREAD = 64 * KIB  # the most that waits for a client that reads slowly
BUFFERS = PIECE + 64 * KIB + 64 * KIB  # of a connection: and a body before its admission, and one towards the service
SLACK = 8 * MIB  # of the process: records under way, the allocator's free lists
Said = tuple[str, bytes]  # a status, or how the connection ended without one, and everything that came


async def memory(sheet: Sheet, folder: Path) -> None:
    """Each kind of input after the other, in one process; its memory is compared with that at the start."""
    async with deep_stage(folder, 'write_idle_timeout = "2s"') as (on, _):
        meter, files = Meter(sheet, on), on.proxy.descriptors()
        for size in (KIB, MIB, 10 * MIB):
            async with meter.growth(f"50 bodies of {size // KIB:,} KiB", 50, 50 * size):
                said = await everybody(50, lambda size=size: _ask(on, _post(on, "/deep/x", bytes(size - 3) + b"END")))
            _all(sheet, said, "200")
        async with meter.growth("50 bodies a byte too long", 50, 50 * 10 * MIB):
            _all(sheet, await everybody(50, lambda: _ask(on, _post(on, "/deep/x", bytes(10 * MIB + 1)))), "413")
        async with meter.growth("50 uploads of 10 MiB that the service never reads", 50, 50 * 10 * MIB):
            said = await everybody(50, lambda: _ask(on, _post(on, "/deep/unread", bytes(10 * MIB)), within=3))
        _all(sheet, said, "silent")
        async with meter.growth("200 heads of 128 headers of 8 KiB", 200, 200 * MIB):
            _all(sheet, await everybody(200, lambda: _ask(on, _heads())), "431")
        async with meter.growth("10 trains of 10,000 requests", 10, 10 * len(_train(on))):
            said = await everybody(10, lambda: _ask(on, _train(on), answers=10_000, within=60))
        _all(sheet, said, "404")
        sheet.check(
            "answers to them", n := sum(data.count(b"HTTP/1.1 404") for _, data in said), n == 100_000, "100,000"
        )
        await _bombs(sheet, on, meter)
        async with meter.growth("1,000 readers that take nothing of 1 MiB", 1000, 1000 * MIB, UNREAD):
            said = await everybody(1000, lambda: _stare(on))
        sheet.note("how they ended", dict(Counter(how for how, _ in said)))
        freed = await reached(
            lambda: on.proxy.descriptors() <= files + 4, 10
        )  # what is idle to the service stays a while
        sheet.within("every connection was given up after", freed, 6)


async def _bombs(sheet: Sheet, on: Chaos, meter: Meter) -> None:
    bomb = gzip.compress(bytes(64 * MIB), 9)
    async with meter.growth("50 bodies that gzip makes 64 MiB of", 50, 50 * len(bomb)):
        said = await everybody(50, lambda: _ask(on, _post(on, "/deep/x", bomb + b"END", "Content-Encoding: gzip")))
    _all(sheet, said, "200")
    async with meter.growth("50 answers that gzip makes 64 MiB of", 50, 50 * len(bomb)):
        said = await everybody(50, lambda: _ask(on, _get(on, "/deep/bomb")))
    _all(sheet, said, "200")
    whole = sum(gzip.decompress(data.partition(b"\r\n\r\n")[2]) == bytes(64 * MIB) for _, data in said[:2])
    sheet.check("as they left the service", whole, whole == 2, "2 of 2 looked at")


class Meter:
    """How far the gateway's memory grows at its highest."""

    def __init__(self, sheet: Sheet, on: Chaos) -> None:
        self._sheet = sheet
        self._on = on
        self._most = 0

    def _now(self) -> int:
        return self._on.proxy.pss()["Pss"] * KIB

    async def _watch(self) -> None:
        while True:
            self._most = max(self._most, self._now())
            await asyncio.sleep(0.05)

    @asynccontextmanager
    async def growth(self, what: str, connections: int, size: int, each: int = BUFFERS) -> AsyncIterator[None]:
        """`size` bytes came in, over so many connections, and memory grew by what they may cost."""
        before, self._most = self._now(), 0
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
        grown, most = max(self._most - before, 0), connections * each + SLACK
        per = f"{grown / MIB:.1f} MiB, {grown / connections / KIB:.0f} KiB each"
        ok = grown <= most and grown < 100 * size + SLACK
        self._sheet.check(what, per, ok, f"at most {most / MIB:.0f} MiB, and 100 x what came in")


def _all(sheet: Sheet, said: Iterable[Said], wanted: str) -> None:
    seen = dict(Counter(how for how, _ in said))
    sheet.check("answered", seen, set(seen) == {wanted}, f"all {wanted}")


async def everybody(number: int, one: object) -> list[Said]:
    """All at once, but no more than the backlog of a listener takes."""
    turn = asyncio.Semaphore(1000)

    async def go() -> Said:
        async with turn:
            return await one()  # type: ignore[operator, no-any-return]

    return await asyncio.gather(*(go() for _ in range(number)))


def _get(on: Chaos, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {next(on.tokens)}\r\n\r\n".encode()


def _post(on: Chaos, path: str, body: bytes, field: str = "X: y") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{field}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Authorization: Bearer {next(on.tokens)}\r\n\r\n".encode() + body


def _heads() -> bytes:
    return b"GET /now HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"y" * 8 * KIB + b"\r\n") * 128 + b"\r\n"


def _train(on: Chaos) -> bytes:
    return b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n" * 10_000


async def _ask(on: Chaos, wire: bytes, answers: int = 1, within: float = 30) -> Said:
    """Sends and reads at the same time; how that ended."""
    data = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", on.port)
    except OSError as error:
        return type(error).__name__, b""
    sending = asyncio.create_task(_send(writer, wire))
    try:
        async with asyncio.timeout(within):
            while not _complete(data, answers) and (more := await reader.read(MIB)):
                data += more
    except TimeoutError:
        return ("silent" if not data else "unfinished"), data
    except OSError as error:
        return (data[9:12].decode() or type(error).__name__), data
    finally:
        sending.cancel()
        writer.transport.abort()
    return (data[9:12].decode() or "closed"), data


def _complete(data: bytes, answers: int) -> bool:
    return bool(answer_end(data)) if answers == 1 else data.count(b"HTTP/1.1 ") >= answers and data.endswith(b"}")


async def _send(writer: asyncio.StreamWriter, wire: bytes) -> None:
    with suppress(OSError):
        for at in range(0, len(wire), MIB):
            writer.write(wire[at : at + MIB])
            await writer.drain()


async def _stare(on: Chaos) -> Said:
    """Asks for 1 MiB, and reads none of it until the gateway has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", on.port, limit=KIB)
    writer.transport.pause_reading()
    writer.write(_get(on, "/deep/1048576"))
    await asyncio.sleep(6)
    writer.transport.resume_reading()
    try:
        while await reader.read(MIB):
            pass
    except OSError as error:
        return type(error).__name__, b""
    finally:
        writer.transport.abort()
    return "closed", b""

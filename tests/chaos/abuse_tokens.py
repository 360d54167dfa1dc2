"""A million of everything that can be made up: tokens that are none, and addresses in X-Forwarded-For. Each is answered
and recorded, and neither memory nor a table of limits grows with their number (row 25).
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from tests.bench.process import Process, spawn
from tests.bench.wire import request, status

from .abuse_log import dropped
from .probes import ask
from .sheet import Sheet
from .stage import NOW, Chaos, stage
from .waiting import reached

MILLION = 1_000_000
CONNECTIONS, BATCH = 32, 50  # requests sent at once on each
KIB, MIB = 1024, 1024 * 1024
GROWTH = 24 * MIB  # from a tenth of the requests to the last of them; of it 16 MiB are lines that wait to be written
FULL_TABLE = 64 * MIB  # a table of limits with as many addresses as it may hold
PER_ADDRESS = """
[[policy.plan.rate_limit]]
rate = "10/hour"
per = "address"
"""
FIRST = 10  # as many as PER_ADDRESS lets through
HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
NONE = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()


def bad_token(number: int) -> str:
    """One that no other number gives: a forged signature, another caller, no algorithm, no token at all."""
    claims = base64.urlsafe_b64encode(b'{"sub":"forged-%d"}' % number).rstrip(b"=").decode()
    kinds = (f"{HEAD}.e30.{number:042d}0", f"{HEAD}.{claims}.{'0' * 43}", f"{NONE}.{claims}.", f"made-up-{number}")
    return kinds[number % 4]


def bad_request(number: int) -> bytes:
    return request("/now", bad_token(number))


def forged(number: int) -> bytes:
    """An address that no other number gives, in several spellings."""
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    kinds = (address, f"203.0.113.{number & 255}, {address}", f"{address}:{number & 65535}", f"garbage-{number}")
    return f"GET /now HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {kinds[number % 4]}\r\n\r\n".encode()


def proxied(number: int) -> bytes:
    """As a trusted proxy would say it: a client that no other number gives."""
    address = f"{1 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return f"GET /now HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n\r\n".encode()


class Bulk(asyncio.Protocol):
    """Sends batches as long as there are any, each when the one before is answered; `seen` counts the statuses."""

    def __init__(self, batches: Iterator[bytes], seen: Counter[str]) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._batches = batches
        self._seen = seen
        self._tail = b""
        self._owed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self._transport.close()
        else:
            self._owed = BATCH
            self._transport.write(batch)

    def data_received(self, data: bytes) -> None:
        *answers, self._tail = (self._tail + data).split(b"HTTP/1.1 ")
        self._tail = b"HTTP/1.1 " + self._tail if answers else self._tail
        for answer in answers:
            self._count(answer)
        if self._owed == 1 and self._tail.endswith(b"}"):
            self._count(self._tail[9:])
            self._tail = b""
        if self._owed == 0:
            self._next()

    def _count(self, answer: bytes) -> None:
        if answer:
            self._seen[answer[:3].decode("latin-1")] += 1
            self._owed -= 1

    def connection_lost(self, error: Exception | None) -> None:
        if self._owed:
            self._seen["lost"] += self._owed
        self.done.set_result(None)


@contextmanager
def counted(folder: Path) -> Iterator[Process]:
    """The call log is a pipe to `wc`: a million lines need no disk, and to count them must not slow down the load."""
    os.mkfifo(folder / "calls.jsonl")
    with spawn("lines", ["sh", "-c", f"wc -l < {folder}/calls.jsonl"], None, folder) as counting:
        yield counting


async def _recorded(sheet: Sheet, on: Chaos, counting: Process, total: int) -> None:
    """Ends the gateway, which ends its log, and looks how long that was."""
    lost = await dropped(on)
    on.proxy.terminate()
    await on.proxy.ended(20)
    await counting.ended(20)
    number = int(counting.last_words())
    sheet.check(
        "records, and lines that the log lost", f"{number} + {lost}", number + lost == total, f"{total} together"
    )


async def _send(sheet: Sheet, on: Chaos, make: Callable[[int], bytes], total: int) -> tuple[Counter[str], int, int]:
    """Sends that many; the statuses, and the memory after a tenth and at the end."""
    seen: Counter[str] = Counter()
    batches = (b"".join(map(make, range(first, first + BATCH))) for first in range(0, total, BATCH))
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Bulk(batches, seen), "127.0.0.1", on.port) for _ in range(CONNECTIONS)]
    everybody = asyncio.gather(*(bulk.done for _, bulk in made))
    await reached(lambda: seen.total() >= total / 10, 600)
    early = on.proxy.pss()["Pss"] * KIB
    await everybody
    return seen, early, on.proxy.pss()["Pss"] * KIB


@contextmanager
def timed(sheet: Sheet, total: int) -> Iterator[None]:
    began = asyncio.get_running_loop().time()
    yield
    took = asyncio.get_running_loop().time() - began
    sheet.note("requests a second", f"{total / took:,.0f}, {took:.0f} s in all")


async def _flood(
    sheet: Sheet, on: Chaos, make: Callable[[int], bytes], total: int, wanted: dict[str, int], growth: int
) -> None:
    sheet.step(f"{total:,} requests over {CONNECTIONS} connections")
    with timed(sheet, total):
        seen, early, late = await _send(sheet, on, make, total)
    sheet.check("answered", dict(seen), seen == wanted, f"{wanted}")
    grown = f"{(late - early) / MIB:+.1f} MiB to {late / MIB:.0f} MiB"
    sheet.check("memory, from the first tenth to the end", grown, late - early <= growth, f"+{growth / MIB:.0f} MiB")


async def tokens(sheet: Sheet, folder: Path, total: int = MILLION) -> None:
    """No limit stands before the signature: every token is looked at."""
    with counted(folder) as counting:
        async with stage(folder, routes=NOW) as on:
            await _flood(sheet, on, bad_request, total, {"401": total}, GROWTH)
            good = status((await ask(on.port, request("/now", next(on.tokens)))).answer)
            sheet.check("a good token after them", good, good == 200, "200")
            await _recorded(sheet, on, counting, total + 1)


async def addresses(sheet: Sheet, folder: Path, total: int = MILLION) -> None:
    """A stranger's X-Forwarded-For is no address: all count as one, and are refused before any token is looked at."""
    with counted(folder) as counting:
        async with stage(folder, plan=PER_ADDRESS, routes=NOW) as on:
            await _flood(sheet, on, forged, total, {"401": FIRST, "429": total - FIRST}, GROWTH)
            await _recorded(sheet, on, counting, total)


async def trusted_addresses(sheet: Sheet, folder: Path, total: int = MILLION // 2) -> None:
    """Behind a trusted proxy each is an address of its own: the table holds the newest, not all of them."""
    trusted = 'trusted_proxies = ["127.0.0.1/32"]'
    with counted(folder) as counting:
        async with stage(folder, server=trusted, plan=PER_ADDRESS, routes=NOW) as on:
            await _flood(sheet, on, proxied, total, {"401": total}, FULL_TABLE)
            await _recorded(sheet, on, counting, total)

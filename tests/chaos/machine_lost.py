"""One machine with two workers: one is killed under its polls, or is stopped in the midst of a decision. The rest
of the machine goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from gateway.machine.pulse import HUNG, MUTE
from gateway.state.lmdb_lock import Lock
from tests.bench.load import Crowd
from tests.bench.measure import park, settle
from tests.bench.process import tree
from tests.bench.wire import request

from .nodes import SEVERAL, SHARED, WORKERS, in_redis
from .probes import probing
from .redises import redis
from .sheet import Sheet
from .stage import PLAN, Chaos, admin, stage, statuses
from .waiting import reached

FREED, BACK, GOES_ON = 1.0, 2.0, 2.0  # seconds
WORKER = b"gateway.machine.worker"
LOCK = ("state", "lock")  # in the directory of the machine
TRIES = 3000


def workers(on: Chaos) -> list[int]:
    """The processes that serve."""
    found = []
    for pid in tree(on.proxy.pid)[1:]:
        with suppress(OSError):
            if WORKER in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


async def killed_in_redis(sheet: Sheet, folder: Path, polls: int = 1000) -> None:
    """The same where places are lent by Redis, which cannot see that a process has ended."""
    async with redis(folder) as server:
        await killed(sheet, folder, polls, in_redis(server.url))


async def killed(sheet: Sheet, folder: Path, polls: int = 1000, state: str = SHARED) -> None:
    """A worker is killed; its consumers, who have one place each, come straight back."""
    async with stage(folder, server=SEVERAL, state=state) as on:
        tokens = list(islice(on.tokens, polls))
        wires = [request("/poll", token) for token in tokens]
        crowd = Crowd()
        await crowd.dial(on.port, polls)
        await park(on, crowd, wires)
        before = workers(on)
        sheet.check("workers", len(before), len(before) == WORKERS, f"{WORKERS}")
        sheet.step(f"{polls:,} polls held, 100 probes a second; a worker is killed")
        async with probing(on.port, lambda: request("/now", next(on.tokens))) as probes:
            await asyncio.sleep(0.5)
            os.kill(before[0], signal.SIGKILL)
            died = time.monotonic()
            await reached(lambda: bool(crowd.lost), 5)
            await settle()
            lost = [index for index, client in enumerate(crowd.clients) if client.transport.is_closing()]
            back, again = await asyncio.gather(
                _come_back(sheet, on, [wires[index] for index in lost], polls, died), _replaced(on, before[0])
            )
            sheet.within("as many workers as before after", again and again - died, BACK)
            await asyncio.sleep(1)
        sheet.check("polls lost", len(lost), 0 < len(lost) == crowd.lost < polls, "those of one worker")
        said = probes.said()
        later = probes.said(since=died)
        sheet.check("probes", said, set(said) <= {"200", "reset", "closed"}, "200, but for those under way there")
        sheet.check("of them lost that came later", later, set(later) == {"200"}, "none")
        sheet.note("slowest answer to a probe", probes.slowest())
        await on.control.publish()
        await asyncio.gather(crowd.answered(10), back.answered(10))
        seen, wanted = statuses(crowd), {"200": polls - len(lost), "lost": len(lost)}
        sheet.check("the held ones", seen, seen == wanted, f"{wanted}")
        sheet.check("those that came back", seen := statuses(back), seen == {"200": len(lost)}, f"{len(lost)} x 200")


async def _replaced(on: Chaos, gone: int | None) -> float | None:
    """When there were as many workers as before, without that one."""
    full = await reached(lambda: len(workers(on)) == WORKERS and gone not in workers(on), 15)
    return full and time.monotonic()


async def _come_back(sheet: Sheet, on: Chaos, wires: list[bytes], polls: int, died: float) -> Crowd:
    """Some of those who lost their polls ask until their places are free; then the others ask once."""
    crowd, some = Crowd(), range(0, len(wires), max(len(wires) // 20, 1))
    await crowd.dial(on.port, len(wires))
    crowd.forget()
    refused, before = 0, polls - len(wires)

    async def held() -> bool:
        nonlocal refused
        for index in some:
            if not crowd.clients[index].asked:
                refused += 1
                crowd.clients[index].ask(wires[index])
        await asyncio.sleep(0.05)
        return await on.held() == before + len(some)

    there = await reached(held, 15)
    sheet.within("their places are free, and taken by them again, after", there and time.monotonic() - died, FREED)
    sheet.note("refused until then", refused - len(some))
    crowd.forget()
    for index, client in enumerate(crowd.clients):
        if index not in some:
            client.ask(wires[index])
    await on.reaches(polls)
    seen = statuses(crowd)
    sheet.check("all of them poll again", seen, seen == {"unanswered": len(wires)}, "all held, none refused")
    return crowd


async def hung(sheet: Sheet, folder: Path, polls: int = 1000) -> None:
    """A worker is stopped, and nothing goes on there; its clients do not know, and the machine finds out."""
    async with stage(folder, server=SEVERAL, state=SHARED) as on:
        wires = [request("/poll", token) for token in islice(on.tokens, polls)]
        crowd = Crowd()
        await crowd.dial(on.port, polls)
        await park(on, crowd, wires)
        before = workers(on)
        sheet.step(f"{polls:,} polls held, 100 probes a second; a worker is stopped")
        async with probing(on.port, lambda: request("/now", next(on.tokens))) as probes:
            os.kill(before[0], signal.SIGSTOP)
            stopped = time.monotonic()
            await asyncio.sleep(MUTE + 2)
            said = await admin(on, "POST /api/reload")
            sheet.check("a reload", said.said, said.said == "422", "422, for it does not answer")
            sheet.check("which says who", said.answer, b"does not answer" in said.answer, f"worker of pid {before[0]}")
            sheet.within("and is answered within", said.took, 2.0)
            gone = await reached(lambda: before[0] not in workers(on), HUNG + 15)
            sheet.check("it is killed", bool(gone), bool(gone), f"after {HUNG} s")
            sheet.within("after", gone and time.monotonic() - stopped, HUNG + 5)
            full = await _replaced(on, before[0])
            sheet.within("as many workers as before after", full and full - stopped, HUNG + 5 + BACK)
            calm = time.monotonic()
            await asyncio.sleep(1)
        sheet.check("probes from then on", seen := probes.said(since=calm), set(seen) == {"200"}, "only 200")
        sheet.check("a reload", said := (await admin(on, "POST /api/reload")).said, said == "200", "200")
        await settle()
        lost = crowd.lost
        await on.control.publish()
        await crowd.answered(10)
        seen, wanted = statuses(crowd), {"200": polls - lost, "lost": lost}
        sheet.check(
            "the held ones", seen, 0 < lost < polls and seen == wanted, "those of the other worker get their news"
        )


async def lock_stopped(sheet: Sheet, folder: Path) -> None:
    """Under load a worker is stopped again and again, until it is caught with the lock that all workers need."""
    async with stage(folder, server=SEVERAL, state=SHARED, plan=_generous()) as on:
        with _lock(on) as lock:
            load = _Load(on)
            await load.begin()
            sheet.step("requests without a pause; a worker is stopped, until it is one that holds the lock")
            caught = await _caught(on, lock)
            sheet.check("caught with the lock", caught is not None, caught is not None, f"within {TRIES} tries")
            stopped = time.monotonic()
            async with probing(on.port, lambda: request("/now", next(on.tokens))) as probes:
                good = await reached(lambda: any(one.said == "200" for one in probes.done), 10)
                sheet.within("another worker decides again after", good and time.monotonic() - stopped, GOES_ON)
                full = await _replaced(on, caught)
                sheet.within("it is replaced after", full and full - stopped, GOES_ON + BACK)
                calm = time.monotonic()
                await asyncio.sleep(2)
            await load.end()
            later = probes.said(since=calm)
            sheet.check("calls from then on", later, set(later) == {"200"}, "only 200")
            sheet.note("all calls meanwhile", probes.said())


def _generous() -> str:
    return PLAN.replace('rate = "600/min"\nburst = 20', 'rate = "100000/s"\nburst = 100000').replace(
        'rate = "20000/s"\nburst = 40000', 'rate = "100000/s"\nburst = 100000'
    )


class _Load:
    """Short requests, as many as are answered; who loses its worker is not replaced."""

    def __init__(self, on: Chaos) -> None:
        self._on = on
        self._stop = False

    async def begin(self) -> None:
        self._tasks = [asyncio.create_task(self._ask(request("/now", next(self._on.tokens)))) for _ in range(16)]

    async def _ask(self, wire: bytes) -> None:
        while not self._stop:
            with suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._on.port)
                try:
                    while not self._stop:
                        writer.write(wire)
                        if not await reader.read(65536):
                            break
                finally:
                    writer.transport.abort()

    async def end(self) -> None:
        self._stop = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextmanager
def _lock(on: Chaos) -> Iterator[Lock]:
    """The lock of the machine's state, seen from outside."""
    lock = Lock(next(path for pid in workers(on) for path in _open(pid) if path.parts[-2:] == LOCK))
    try:
        yield lock
    finally:
        lock.close()


def _open(pid: int) -> Iterator[Path]:
    """The files that process has open."""
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            yield file.readlink()


async def _caught(on: Chaos, lock: Lock) -> int | None:
    """The process id of a worker that is stopped now and holds the lock."""
    pids = workers(on)
    for turn in range(TRIES):
        await asyncio.sleep(0.002)
        pid = pids[turn % len(pids)]
        os.kill(pid, signal.SIGSTOP)
        await reached(lambda pid=pid: _is_stopped(pid), 1)  # type: ignore[misc]
        if lock.holder() == pid:
            return pid
        os.kill(pid, signal.SIGCONT)
    return None


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

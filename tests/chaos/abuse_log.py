"""The call log has nowhere to go: its disk is full and then is not, its pipe is read by nobody and then is. No request
notices, every line is written or counted, and standard error stays readable (row 26).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from tests.bench.load import ClosedLoop
from tests.bench.wire import request

from .abuse import Honest
from .probes import ask
from .sheet import Sheet
from .stage import Chaos, stage
from .waiting import reached

KIB, MIB = 1024, 1024 * 1024
DISK, FREE = 4 * MIB, 256 * KIB  # of the disk, and what is left of it when the case begins
PLAN = """
[[policy.plan.rate_limit]]
rate = "1000000/min"
per = "consumer"

[[policy.plan.rate_limit]]
rate = "20000/s"
burst = 40000
per = "route"

[[policy.places.hold_cap]]
max = 1
per = "consumer"
"""


@contextmanager
def small_disk(where: Path) -> Iterator[Path]:
    """A file system of 4 MiB; PermissionError for those who may not mount."""
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "chaos", str(where)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        raise PermissionError(mounted.stderr.strip())
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


async def requests(on: Chaos, number: int) -> int:
    """Short requests, all of which must be answered with 200; how many were."""
    token = next(on.tokens)
    loop = ClosedLoop(iter([request("/now", token)] * number), 120)
    await loop.run(on.port, 32)
    return len(loop.latencies) - (loop.bad is not None)


async def dropped(on: Chaos) -> int:
    """What `/healthz` says."""
    answer = (await ask(on.ports.admin, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")).answer
    return int(orjson.loads(answer.partition(b"\r\n\r\n")[2])["log_lines_dropped"])


def whole(data: bytes) -> int:
    """Lines that are whole; what is left of one that was cut short is none."""
    number = 0
    for line in data.split(b"\n"):
        try:
            number += bool(orjson.loads(line))
        except orjson.JSONDecodeError:
            pass
    return number


async def full_disk(sheet: Sheet, folder: Path) -> None:
    """Fills up, stays full for seconds of calls, has room again."""
    try:
        with small_disk(folder / "disk") as disk:
            log, filler = disk / "calls.jsonl", disk / "filler"
            (folder / "calls.jsonl").symlink_to(log)
            filler.write_bytes(bytes(DISK - FREE))
            await _fill(sheet, folder, log, filler)
    except PermissionError as error:
        sheet.note("skipped", f"this user may not mount a file system ({error}); run it as root")


async def _fill(sheet: Sheet, folder: Path, log: Path, filler: Path) -> None:
    async with stage(folder, plan=PLAN) as on:
        honest, began = Honest(on), time.monotonic()
        await honest.dial()
        sheet.step("calls, until the disk is full and after")
        calls = good = 0
        while time.monotonic() - began < 6:
            calls, good = calls + 2000, good + await requests(on, 2000)
            await honest.wakes(1, pause=0)
        lost = await dropped(on)
        sheet.check("lines lost while it is full", lost, lost > 0, "some")
        sheet.step("the disk has room again")
        filler.unlink()
        calls, good = calls + 1000, good + await requests(on, 1000)
        await honest.wakes(2, pause=0.3)
        total = calls + honest.asked
        await reached(lambda: log.stat().st_size > 0 and whole(log.read_bytes()) + lost >= total, 5)
        _judge(sheet, on, (good + honest.answered, total), whole(log.read_bytes()), lost, await dropped(on))
        seconds = time.monotonic() - began
        said = [line for line in on.proxy.printed() if "lines dropped" in line]
        sheet.check("lines on standard error", len(said), 1 <= len(said) <= seconds + 1, f"1 to {seconds + 1:.0f}")
        sheet.note("such as", said[0] if said else "none")


def _judge(sheet: Sheet, on: Chaos, good: tuple[int, int], written: int, lost: int, finally_lost: int) -> None:
    total = good[1]
    sheet.check("calls answered", good[0], good[0] == total, f"{total}")
    sheet.check("lines written and lines lost", f"{written} + {lost}", written + lost == total, f"{total} together")
    sheet.check("lines lost since there is room", finally_lost - lost, finally_lost == lost, "0")


async def blocked_pipe(sheet: Sheet, folder: Path) -> None:
    """A reader that sleeps through all of it, then reads everything."""
    os.mkfifo(folder / "calls.jsonl")
    reader = os.open(folder / "calls.jsonl", os.O_RDONLY | os.O_NONBLOCK)
    async with stage(folder, plan=PLAN) as on:
        honest = Honest(on)
        await honest.dial()
        before = on.proxy.pss()["Pss"]
        sheet.step("calls, until 16 MiB of lines wait in memory and after")
        calls = good = 0
        while not await dropped(on) and calls < 200_000:
            calls, good = calls + 5000, good + await requests(on, 5000)
        calls, good = calls + 5000, good + await requests(on, 5000)
        await honest.wakes(1)
        lost, grown = await dropped(on), (on.proxy.pss()["Pss"] - before) / KIB
        sheet.check("lines lost while nobody reads", lost, lost > 0, "some")
        sheet.check("memory grew by", f"{grown:.1f} MiB", grown <= 16 * 1.5 + 8, "the 16 MiB that may wait, about")
        sheet.step("the reader wakes up")
        data = bytearray()
        await reached(lambda: _drain(reader, data) == 0 and whole(data[-MIB:]) > 0, 10)
        calls, good = calls + 1000, good + await requests(on, 1000)
        await honest.wakes(1)
        total = calls + honest.asked
        await reached(lambda: _drain(reader, data) == 0 and data.count(b"\n") + lost >= total, 10)
        _judge(sheet, on, (good + honest.answered, total), whole(bytes(data)), lost, await dropped(on))
        said = [line for line in on.proxy.printed() if not line.startswith("INFO ")]
        sheet.check("lines on standard error", len(said), not said, "0")
    os.close(reader)


def _drain(reader: int, data: bytearray) -> int:
    """Reads what there is; how much that was."""
    try:
        piece = os.read(reader, MIB)
    except BlockingIOError:
        return 0
    data += piece
    return len(piece)

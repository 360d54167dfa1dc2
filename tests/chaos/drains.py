"""SIGTERM under a thousand held polls: long enough for all to end by themselves, and far too short for any."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import is_blank, park
from tests.bench.proxies import wires
from tests.bench.wire import request, status

from .probes import Probe, Probes, probing
from .sheet import Sheet
from .stage import NOW, POLL, Chaos, route, stage, statuses

READYZ = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
SLOT = 0.1  # seconds


async def roomy(
    sheet: Sheet, folder: Path, polls: int = 1000, hold: float = 5, delay: float = 1, server: str = "", state: str = ""
) -> None:
    """The window is longer than any hold: nobody may notice more than a closed listener, announced by readiness."""
    server += f'shutdown_delay = "{delay:g}s"\ndrain = "25s"'
    async with stage(folder, server=server, state=state) as on:
        crowd = Crowd()
        await crowd.dial(on.port, polls)
        wire = wires(f"/poll?for={hold:g}", polls, on.tokens)
        async with (
            probing(on.port, lambda: request("/now", next(on.tokens))) as probes,
            probing(on.ports.admin, lambda: READYZ, every=0.02) as readiness,
        ):
            sheet.step(f"SIGTERM with {polls:,} polls held for {hold:g} s and 100 probes a second")
            await park(on, crowd, wire)
            told = time.monotonic()
            on.proxy.terminate()
            ended = await on.proxy.ended(hold + delay + 10)
        seen = statuses(crowd)
        sheet.check("answers", seen, seen == {"200": polls}, f"{polls} x 200")
        _readiness_goes_first(sheet, probes, readiness, told)
        _exit(sheet, on, ended, hold + 1)
        wrote = Counter(str(one["outcome"]) for one in on.records() if one["route"] == "poll")
        sheet.check("records of them", dict(wrote), wrote.total() == polls, f"{polls}")


def _readiness_goes_first(sheet: Sheet, probes: Probes, readiness: Probes, told: float) -> None:
    red, shut = readiness.first("503"), probes.first("refused")
    sheet.check(
        "readiness is red before the listener closes",
        f"red after {_after(red, told)}, closed after {_after(shut, told)}",
        red is not None and shut is not None and red.at < shut.at, "red first",
    )  # fmt: skip
    until = shut.at if shut is not None else float("inf")
    before, later = probes.said(until=until), probes.said(since=until)
    sheet.check("probes until the listener closed", before, set(before) == {"200"}, "only 200")
    sheet.check("probes from then on", later, set(later) <= {"refused"}, "only refused")
    sheet.note("slowest answer to a probe", probes.slowest())


def _after(probe: Probe | None, told: float) -> str:
    return "never" if probe is None else f"{probe.at - told:.2f} s"


def _exit(sheet: Sheet, on: Chaos, ended: float | None, limit: float) -> None:
    sheet.within("exit after SIGTERM", ended, limit)
    sheet.check("exit code", code := on.proxy.exit_code(), code == 0, "0")


async def tight_template(sheet: Sheet, folder: Path, polls: int = 1000, hold: float = 8, drain: float = 2) -> None:
    """Nobody's hold ends in time, and the dialect has words for "no news": everyone gets them, one after the other."""
    crowd = await _tight(sheet, folder, POLL, polls, hold, drain)
    good = sum(is_blank(answer) and closes(answer) for answer in crowd.answers)
    sheet.check("no-news answers that close", good, good == polls, f"{polls}")
    slots = slots_of(crowd.times)
    most = max(slots, default=0)
    sheet.check(f"answers per {SLOT * 1e3:g} ms", slots, 0 < most <= polls / 4, f"never more than {polls // 4}")


async def tight_origin(sheet: Sheet, folder: Path, polls: int = 1000, hold: float = 8, drain: float = 2) -> None:
    """Nobody's hold ends in time, and only the service may answer: 503, and a time to come back that differs."""
    crowd = await _tight(sheet, folder, route("poll", "origin", "places"), polls, hold, drain)
    good = sum(status(answer) == 503 and closes(answer) for answer in crowd.answers)
    sheet.check("503 that close", good, good == polls, f"{polls}")
    after = Counter(retry_after(answer) for answer in crowd.answers)
    spread = None not in after and 0 < max(after.values(), default=0) <= polls / 3
    sheet.check("Retry-After", dict(sorted(after.items(), key=str)), spread, f"each at most {polls // 3} times")


async def _tight(sheet: Sheet, folder: Path, poll: str, polls: int, hold: float, drain: float) -> Crowd:
    async with stage(folder, server=f'drain = "{drain:g}s"', routes=NOW + poll) as on:
        crowd = Crowd()
        await crowd.dial(on.port, polls)
        sheet.step(f"SIGTERM with {polls:,} polls held for {hold:g} s and a window of {drain:g} s")
        await park(on, crowd, wires(f"/poll?for={hold:g}", polls, on.tokens))
        on.proxy.terminate()
        ended = await on.proxy.ended(drain + 10)
        await crowd.answered(1)
        seen = statuses(crowd)
        sheet.check("answers", seen, crowd.lost == 0 and len(crowd.answers) == polls, f"{polls}, none lost")
        _exit(sheet, on, ended, drain + 1)
        wrote = Counter(str(one["outcome"]) for one in on.records())
        sheet.check("records", dict(wrote), wrote == {"drained": polls}, f"{polls} x drained")
    return crowd


def slots_of(times: Sequence[float]) -> list[int]:
    """How many lie in each slot of SLOT seconds, from the first on."""
    if not times:
        return []
    counts = Counter(int((at - min(times)) / SLOT) for at in times)
    return [counts[slot] for slot in range(max(counts) + 1)]


def field(answer: bytes, name: bytes) -> bytes | None:
    """The value of a header field."""
    found = re.search(
        rb"\r\n" + re.escape(name) + rb": *([^\r]*)\r\n", answer.partition(b"\r\n\r\n")[0] + b"\r\n", re.I
    )
    return found[1] if found else None


def closes(answer: bytes) -> bool:
    return (field(answer, b"Connection") or b"").lower() == b"close"


def retry_after(answer: bytes) -> int | None:
    value = field(answer, b"Retry-After")
    return int(value) if value is not None and value.isdigit() else None

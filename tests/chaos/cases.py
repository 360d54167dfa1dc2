"""Every case by name: the function, and one line that says what it promises and for which RELIABILITY rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from . import caps, descriptors, drains, herds, lost, names, outages, reloads, returns, storms, wakes
from .abuse_cases import ABUSE
from .sheet import Sheet
from .state_cases import STATE

Case = Callable[[Sheet, Path], Awaitable[None]]

CASES: dict[str, tuple[Case, str]] = {
    "drain": (drains.roomy, "SIGTERM with 1,000 polls held and time enough: nobody notices (row 1)"),
    "drain-template": (
        drains.tight_template,
        "SIGTERM, holds of 8 s, a window of 2 s: 1,000 spread no-news answers (row 2)",
    ),
    "drain-origin": (
        drains.tight_origin,
        "the same where only the service may answer: 1,000 x 503, spread Retry-After (row 2)",
    ),
    "reload": (reloads.reload, "SIGHUP with 1,000 polls held and 100 probes a second; then a broken file (row 3)"),
    "storm": (storms.storm, "1,000 held polls hang up at once, with FIN and with RST (row 5)"),
    "memory-returns": (returns.memory_returns, "8,000 held polls leave: what they took is given back"),
    "wake-storm": (wakes.wake_storm, "8,000 held polls are woken at once, under a probe every 10 ms: nobody starves"),
    "files": (descriptors.uvloop, "400 connections with 256 files: held polls unharmed, a quiet log (row 23)"),
    "files-asyncio": (descriptors.asyncio_loop, "the same on the loop of the standard library (row 23)"),
    "herd": (herds.herd, "a restart under 1,000 clients that obey Retry-After: they come back spread (row 37)"),
    "cap": (caps.cap_of_three, "a route's cap of 3 under 1,000 polls at once: never 4 at the upstream"),
    "full": (caps.full, "5,000 polls to one service that may carry 5,000: all held, no queue, then 503 (row 32)"),
    "names": (names.names, "a name moves under 200 held polls, does not exist, and hangs for 12 s (row 31)"),
    "killed": (lost.killed, "SIGKILL of the only endpoint under 1,000 polls, and it is back at once (row 4)"),
    "one-of-100": (lost.one_of_many, "one endpoint of 100 is killed under 5,000 polls: only its own are touched"),
    "restarts": (
        outages.restarts,
        "five outages under 200 polls a second: in-flight ones only, none twice (row 20)",
    ),
    "silent": (outages.silent, "1,000 calls and polls that nobody answers, or at a byte a second (rows 18, 19)"),
    **STATE,
    **ABUSE,
}

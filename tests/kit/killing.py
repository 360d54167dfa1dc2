"""Work that is killed at one of its steps: from that call to the file system on, nothing of it happens, nor of any
clean-up after it, as with `kill -9`. Steps are what Python's audit hooks see below one directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = {"open", "os.rename", "os.remove", "os.chmod", "os.rmdir", "os.scandir", "os.listdir"}


class Killed(BaseException):
    """Where the process would be no more."""


@dataclass
class _Watch:
    """At most one piece of work is watched at a time. An audit hook cannot be taken away: this is what it looks at."""

    folder: str = ""
    seen: int = 0
    last: int = 0


WATCH = _Watch()
HOOKED: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not WATCH.folder or event not in STEPS:
        return
    path = arguments[0]
    if isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(WATCH.folder):
        WATCH.seen += 1
        if WATCH.seen >= WATCH.last:
            raise Killed


def killed(work: Callable[[], Any], folder: Path, step: int) -> bool:
    """Whether the work had so many steps, the last of which and those behind it were not taken."""
    if not HOOKED:
        HOOKED.append(True)
        sys.addaudithook(_hook)
    WATCH.folder, WATCH.seen, WATCH.last = str(folder), 0, step
    try:
        with suppress(Killed):
            work()
    finally:
        WATCH.folder = ""
    return WATCH.seen >= step

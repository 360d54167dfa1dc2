"""Samples of a stack, one a line as py-spy writes them ("outer;inner 12"), added up by function. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

THREAD = re.compile(r'^thread \([^)]*\): "?(?P<name>[^"]*)"?$')
PLACE = re.compile(r"^(?P<name>.*) \((?P<file>[^()]*?)(?::(?P<line>\d+))?\)$")
LOOP = "MainThread"


@dataclass
class Stacks:
    """`own`: samples that found a function at work itself, `whole`: or something it called. Those of the thread of the
    loop only; `others` counts those of every other thread, by its name."""

    total: int = 0
    own: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def add(self, lines: Iterable[str]) -> None:
        for line in lines:
            stack, _, count = line.rstrip().rpartition(" ")
            if stack:
                self._one(stack.split(";"), int(count))

    def _one(self, frames: list[str], count: int) -> None:
        thread = THREAD.match(frames[0])
        if thread is not None:
            frames = frames[1:]
            if thread["name"] != LOOP:
                self.others[thread["name"]] += count
                return
        if not frames:
            return
        self.total += count
        names = list(map(shown, frames))
        self.own[names[-1]] += count
        self.whole.update(dict.fromkeys(names, count))


def shown(frame: str) -> str:
    """A frame as the table says it; where Python itself is not, it is the loop and the kernel under it."""
    place = PLACE.match(frame)
    if place is None:
        return frame
    if place["file"].endswith("asyncio/runners.py"):
        return "the loop itself, and the kernel: epoll, recv, send, accept"
    line = f":{place['line']}" if place["line"] else ""
    return f"{place['name']}  {short(place['file'])}{line}"


def short(path: str) -> str:
    """A file from its package on."""
    return re.sub(r"^.*/(?:site-packages|lib/python[\d.]+|lib-dynload)/", "", path)

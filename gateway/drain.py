"""The end of a process as arithmetic: which instant of the window each parked poll gets, and what a poll that may not
be answered here is told. Pure; `serve` and `app` act on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SPREAD: Final = 0.8  # share of the window over which polls are ended; the rest is for what is then still under way


@dataclass(frozen=True, slots=True)
class Drain:
    """A drain that began at `begun` and is over at `end` (loop seconds, which all processes of a machine share)."""

    begun: float
    end: float

    @classmethod
    def after(cls, now: float, delay: float, window: float) -> Drain:
        """One that begins in `delay` seconds and takes `window`."""
        return cls(now + delay, now + delay + window)

    def slot(self, now: float, share: float) -> float:
        """When a poll ends that drew `share` (0 to 1): spread over what is left, so that clients come back spread."""
        left = max(self.end - now, 0.0)
        return now + left * SPREAD * share

    def retry_after(self, share: float) -> int:
        """Whole seconds a refused client shall wait: at least 1, spread over the window and a little more."""
        return 1 + int((self.end - self.begun + 4.0) * share)

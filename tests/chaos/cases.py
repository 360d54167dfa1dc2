"""Every case by name: the function, and one line that says what it promises and for which RELIABILITY rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from . import caps
from .sheet import Sheet

Case = Callable[[Sheet, Path], Awaitable[None]]

CASES: dict[str, tuple[Case, str]] = {
    "cap": (caps.cap_of_three, "a route's cap of 3 under 1,000 polls at once: never 4 at the upstream"),
}

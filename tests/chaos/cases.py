"""Every case by name: the function, and one line that says what it promises and for which RELIABILITY rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from .sheet import Sheet

Case = Callable[[Sheet, Path], Awaitable[None]]

CASES: dict[str, tuple[Case, str]] = {}

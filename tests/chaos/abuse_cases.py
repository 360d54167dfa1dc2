"""The abuse cases by name, as in `cases`: what strangers do to a gateway on purpose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from . import abuse_slow
from .sheet import Sheet

ABUSE: dict[str, tuple[Callable[[Sheet, Path], Awaitable[None]], str]] = {
    "slow-heads": (abuse_slow.heads, "1,000 heads at a byte a second, 100 honest polls unharmed (row 22)"),
    "slow-bodies": (abuse_slow.bodies, "the same with bodies (row 22)"),
    "slow-readers": (abuse_slow.readers, "the same with readers that take nothing of 1 MiB (row 22)"),
    "slow-hellos": (abuse_slow.hellos, "the same with TLS handshakes (row 22)"),
    "odd-requests": (abuse_slow.odd, "the same with ranges and requests that are none (row 22)"),
}

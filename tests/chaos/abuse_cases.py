"""The abuse cases by name, as in `cases`: what strangers do to a gateway on purpose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from . import abuse_halves, abuse_log, abuse_memory, abuse_slow, abuse_tokens, abuse_vanished
from .sheet import Sheet

ABUSE: dict[str, tuple[Callable[[Sheet, Path], Awaitable[None]], str]] = {
    "slow-heads": (abuse_slow.heads, "1,000 heads at a byte a second, 100 honest polls unharmed (row 22)"),
    "slow-bodies": (abuse_slow.bodies, "the same with bodies (row 22)"),
    "slow-readers": (abuse_slow.readers, "the same with readers that take nothing of 1 MiB (row 22)"),
    "slow-hellos": (abuse_slow.hellos, "the same with TLS handshakes (row 22)"),
    "odd-requests": (abuse_slow.odd, "the same with ranges and requests that are none (row 22)"),
    "memory": (abuse_memory.memory, "bodies, heads, trains, gzip bombs, slow readers: within their buffers (row 24)"),
    "bad-tokens": (abuse_tokens.tokens, "a million bad tokens: 401 each, memory flat; two minutes (row 25)"),
    "forged-addresses": (abuse_tokens.addresses, "a million forged addresses: they count as one (row 25)"),
    "many-addresses": (
        abuse_tokens.trusted_addresses,
        "half a million real ones: the table of limits stays small (row 25)",
    ),
    "full-disk": (abuse_log.full_disk, "no room for the call log, then room: every line written or counted (row 26)"),
    "blocked-pipe": (abuse_log.blocked_pipe, "the same with a pipe that nobody reads (row 26)"),
    "half-close": (abuse_halves.half_close, "500 clients close their sending side: gone, or answered (row 30)"),
    "vanished": (abuse_vanished.vanished, "cables are cut: clients and services that vanished are given up in time"),
}

"""Options of TCP sockets, on both sides alike: small writes leave at once, peers that vanished are found, and what a
peer does not take waits where it is counted and timed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

VANISHED_AFTER: Final = 90.0  # seconds of silence after which a peer has vanished, where nothing else is said
PROBES: Final = 4
UNSENT: Final = 128 * 1024  # bytes that a kernel takes from us before the peer has room for them
PIECE: Final = 32 * 1024  # bytes that are read at once: no more of an answer waits here for a client that takes nothing


class Inbox:
    """What connections of one loop are read into, one after the other: the bytes are taken out of `view` before another
    is read. A loop's own buffer takes up to 256 KiB at once, and for a slow client all of that would wait here."""

    __slots__ = ("room", "view")

    def __init__(self) -> None:
        self.view = memoryview(bytearray(PIECE))
        self.room: Callable[[int], memoryview] = self._room  # one bound method for all connections

    def _room(self, hint: int) -> memoryview:
        """The `get_buffer` of a BufferedProtocol."""
        return self.view


@lru_cache(maxsize=1024)
def family_of(place: str) -> socket.AddressFamily | None:
    """Of a literal address; None of a name, and of an address whose zone must be looked up."""
    try:
        version = ipaddress.ip_address(place).version
    except ValueError:
        return None
    if version == 4:
        return socket.AF_INET
    return socket.AF_INET6 if "%" not in place else None


def tune(sock: socket.socket, vanished_after: float = VANISHED_AFTER) -> None:
    """A peer that vanished without a word is found at the latest after so many seconds: by keep-alive probes, and by a
    limit on unacknowledged bytes (RFC 5482). A kernel would take megabytes from us for a peer that takes nothing, and
    no clock of ours would run meanwhile: it takes only what it can hope to send soon.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (*probing(vanished_after).items(), ("TCP_NOTSENT_LOWAT", UNSENT)):
        if hasattr(socket, name):
            try:
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            except OSError:
                pass  # a kernel that does not know it does without, as in some sandboxes


class Lent:
    """A transport's socket in the hands of others: it stays the transport's."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    @property
    def family(self) -> int:
        with borrowed(self._descriptor) as sock:
            return sock.family

    def getsockopt(self, level: int, option: int) -> int:
        with borrowed(self._descriptor) as sock:
            return sock.getsockopt(level, option)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        with borrowed(self._descriptor) as sock:
            sock.setsockopt(level, option, value)


@contextmanager
def borrowed(descriptor: int) -> Iterator[socket.socket]:
    """For what Python does with sockets only; closes nothing."""
    sock = socket.socket(fileno=descriptor)
    try:
        yield sock
    finally:
        sock.detach()


def left_in(transport: asyncio.Transport) -> Iterator[bytes]:
    """What a failed write, which ended the transport, left unread in its socket."""
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        while data := os.read(descriptor, PIECE):
            yield data
    except OSError:
        pass  # nothing more has come


def probing(vanished_after: float) -> dict[str, int]:
    """The first half of the time in silence, then probes; after the last of them the peer is given up.

    Linux lets TCP_USER_TIMEOUT overrule TCP_KEEPCNT: a peer that owes one probe is given up as soon as it has been
    silent for so long. So it ends between the last probe and its answer's due time: every probe gets its chance.
    """
    whole = int(vanished_after)
    every = max(1, whole // (2 * PROBES))
    probes = min(PROBES, whole - 1)
    return {
        "TCP_KEEPIDLE": whole - probes * every,
        "TCP_KEEPINTVL": every,
        "TCP_KEEPCNT": probes,
        "TCP_USER_TIMEOUT": whole * 1000 - every * 500,  # milliseconds
    }

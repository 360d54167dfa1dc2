"""Options of TCP sockets, on both sides alike: small writes leave at once, and peers that vanished are found."""

from __future__ import annotations

import socket

PROBE_AFTER = 60  # seconds of silence before a peer is probed
PROBE_EVERY = 15
PROBES = 4
USER_TIMEOUT = 60_000  # milliseconds that sent bytes may stay unacknowledged (RFC 5482)


def probe(sock: socket.socket) -> None:
    """Finds peers that vanished without a word: keep-alive probes, and a limit on unacknowledged bytes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", PROBE_AFTER), ("TCP_KEEPINTVL", PROBE_EVERY), ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", USER_TIMEOUT),
    ):  # fmt: skip
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

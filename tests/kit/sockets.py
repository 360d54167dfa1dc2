"""The options of a TCP socket as the kernel has them, and what the gateway wants them to be."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from gateway.sockets import UNSENT, probing

linux_only = pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="options of Linux")


def options(sock: Any) -> dict[str, int]:
    """Of a socket, or of what stands for it in a transport."""
    tcp = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT", "TCP_NOTSENT_LOWAT")
    found = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in tcp}
    return found | {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


def wanted(vanished_after: float) -> dict[str, int]:
    return probing(vanished_after) | {"TCP_NODELAY": 1, "SO_KEEPALIVE": 1, "TCP_NOTSENT_LOWAT": UNSENT}

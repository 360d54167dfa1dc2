"""Ports for processes that are told where to listen. They lie below those that systems give away by themselves, and
each worker of a test run has its own: between the look and the listening nobody else takes one.
"""

from __future__ import annotations

import itertools
import os
import socket

FIRST, EACH = 20_000, 3_000  # of the first worker, and how many each has; 32,768 is where Linux begins to give away
_WORKER = int("".join(filter(str.isdigit, os.environ.get("PYTEST_XDIST_WORKER", ""))) or 0) % 4
_turns = itertools.count(os.getpid() * 37)  # another place in every run: others may run beside this one


def free_port() -> int:
    """A loopback port nobody listens on, and nobody was told before in this process for a long time."""
    while True:
        port = FIRST + _WORKER * EACH + next(_turns) % EACH
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port

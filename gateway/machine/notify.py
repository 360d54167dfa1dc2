"""What systemd is told of the process it started (sd_notify(3)): ready, reloading, stopping, alive. A datagram each;
where nobody listens nothing is sent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping

logger = logging.getLogger("gateway")


class Notifier:
    """Takes what is its own out of `environ`: no process that is started from here shall speak in our name."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = _address(environ.pop("NOTIFY_SOCKET", ""))
        meant = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environ.pop("WATCHDOG_USEC", "")
        self._every = int(usec) / 2e6 if meant and usec.isdigit() else 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        if self._socket is not None:
            self._socket.setblocking(False)

    def ready(self, status: str) -> None:
        self.tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """To be followed by `ready`, however the reload ends."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        self.tell("STOPPING=1", f"STATUS={status}")

    def main(self, pid: int) -> None:
        """Another process takes this one's place."""
        self.tell(f"MAINPID={pid}")

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on says that the loop turns, twice in the time after which it counts as stuck (WatchdogSec=)."""
        if self._every > 0 and self._socket is not None:
            self.tell("WATCHDOG=1")
            loop.call_later(self._every, self.watch, loop)

    def tell(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            logger.warning("systemd could not be told %s (NOTIFY_SOCKET): %s", lines[0], error.strerror)


def _address(name: str) -> str:
    """A path, or a name in the abstract namespace; other kinds (vsock) are for virtual machines."""
    if name.startswith("@"):
        return "\0" + name[1:]
    return name if name.startswith("/") else ""

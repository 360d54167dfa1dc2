"""A cable that can be cut: a network namespace behind a pair of virtual interfaces. What is behind it vanishes without
FIN and RST, as a telephone does that leaves its network.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.bench.load import Client, Crowd

CLONE_NEWNET = 0x40000000


class NoCableError(Exception):
    """There are no network namespaces here; the text says why."""


@dataclass(frozen=True, slots=True)
class Cable:
    """`near` is the address on this side, `far` the one behind it."""

    name: str
    near: str
    far: str

    def cut(self) -> None:
        _ip("-n", self.name, "link", "set", "inside", "down")

    def mend(self) -> None:
        _ip("-n", self.name, "link", "set", "inside", "up")

    def socket(self) -> socket.socket:
        """A socket that lives behind the cable; it stays there, whoever uses it."""
        with ThreadPoolExecutor(1) as thread:  # a thread of its own, for it moves there for good
            return thread.submit(self._make).result()

    def _make(self) -> socket.socket:
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            return socket.socket()
        finally:
            os.close(there)

    def listening(self) -> socket.socket:
        sock = self.socket()
        sock.bind((self.far, 0))
        sock.listen(1024)
        sock.setblocking(False)
        return sock

    async def dial(self, crowd: Crowd, port: int, number: int) -> None:
        """Clients behind the cable connect to a port on this side."""
        loop = asyncio.get_running_loop()
        for _ in range(number):
            sock = self.socket()
            sock.setblocking(False)
            await loop.sock_connect(sock, (self.near, port))
            made = await loop.create_connection(lambda sock=sock: Client(crowd, sock), sock=sock)  # type: ignore[misc]
            crowd.clients.append(made[1])


@contextmanager
def cable(number: int) -> Iterator[Cable]:
    """Lays cable `number` and takes it away again. Raises NoCableError where that is not allowed or not possible."""
    name, third = f"chaos-{os.getpid()}-{number}", os.getpid() % 250
    laid = Cable(
        name, f"198.18.{third}.{4 * number + 1}", f"198.18.{third}.{4 * number + 2}"
    )  # RFC 2544: for tests only
    outside = f"chaos{os.getpid() % 100000}{number}"
    if shutil.which("ip") is None:
        raise NoCableError("there is no `ip` here; install iproute2")
    try:
        _ip("netns", "add", name)
    except NoCableError as error:
        raise NoCableError(f"{error}; run it as root") from None
    try:
        _ip("link", "add", outside, "type", "veth", "peer", "name", "inside", "netns", name)
        _ip("address", "add", f"{laid.near}/30", "dev", outside)
        _ip("link", "set", outside, "up")
        _ip("-n", name, "address", "add", f"{laid.far}/30", "dev", "inside")
        laid.mend()
        yield laid
    finally:
        _ip("netns", "delete", name)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoCableError(f"ip {' '.join(words)}: {done.stderr.strip()}")

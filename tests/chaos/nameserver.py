"""A name server of our own for one process: real DNS over UDP, asked by the machine's resolver, which is told of it in
a mount namespace. It says where names are, that one does not exist, or nothing at all.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

ANSWER, NO_SUCH_NAME = 0x8180, 0x8183  # flags of an answer, RFC 1035 4.1.1
A = 1


class NoNamesError(Exception):
    """No process can be given a name server of its own here; the text says why."""


class NameServer(asyncio.DatagramProtocol):
    """`at` says where names are: those it does not have do not exist. Names in `silent` get no answer."""

    def __init__(self) -> None:
        self.at: dict[str, str] = {}
        self.silent: set[str] = set()
        self.asked: Counter[str] = Counter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        labels, place = [], 12
        while size := data[place]:
            labels.append(data[place + 1 : place + 1 + size].decode())
            place += 1 + size
        name, question = ".".join(labels).lower(), data[12 : place + 5]
        self.asked[name] += 1
        if name not in self.silent:
            wants = struct.unpack("!H", data[place + 1 : place + 3])[0]
            self._transport.sendto(self._answer(data[:2], question, name, wants), peer)

    def _answer(self, number: bytes, question: bytes, name: str, wants: int) -> bytes:
        address = self.at.get(name)
        found = b""
        if address is not None and wants == A:  # there is no IPv6 here
            found = struct.pack("!HHHIH", 0xC00C, A, 1, 0, 4) + socket.inet_aton(address)
        flags = ANSWER if address is not None else NO_SUCH_NAME
        return number + struct.pack("!HHHHH", flags, 1, bool(found), 0, 0) + question + found


@asynccontextmanager
async def name_server(folder: Path) -> AsyncIterator[tuple[NameServer, list[str]]]:
    """A server, and what to put before a command that shall ask it. Raises NoNamesError where that cannot be."""
    address = f"127.53.{os.getpid() % 250}.{1 + os.getpid() // 250 % 250}"
    (file := folder / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:5 attempts:2\n")
    before = ["unshare", "-m", "sh", "-c", f'mount --bind {file} /etc/resolv.conf && exec "$0" "$@"']
    if shutil.which("unshare") is None:
        raise NoNamesError("there is no `unshare` here; install util-linux")
    tried = subprocess.run([*before, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        raise NoNamesError(f"{tried.stderr.strip()}; run it as root")
    try:
        transport, server = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, (address, 53))
    except OSError as error:
        raise NoNamesError(f"port 53 of {address}: {error.strerror}; run it as root") from None
    try:
        yield server, before
    finally:
        transport.close()

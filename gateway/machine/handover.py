"""How one process of `gateway run` hands its listening sockets on to another (`--replace`): what they say to each other
over a unix socket, a line of JSON each, the sockets beside it (SCM_RIGHTS). From then on the two have a `Link`.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway import __version__
from gateway.machine.link import Handler, Link

logger = logging.getLogger("gateway")

PROTOCOL = 1  # changes when two releases could misunderstand each other
ANSWERS = 5.0  # seconds within which the other must
LONGEST = 64 * 1024  # bytes of a line
MOST = 250  # descriptors that a kernel passes on at once (SCM_MAX_FD, less a few)
STATE = "state"  # the directory of what workers count, in that of their machine
CONTROL = "control"  # the name of the socket over which all this is said, among those that are handed on


class HandoverError(OSError):
    """The sockets of the running process cannot be had; the text is one sentence for the operator."""


class Peer(NamedTuple):
    """Who is at the other end, as the kernel says (unix(7), SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int

    @property
    def trusted(self) -> bool:
        """Whether it may do to us whatever it likes anyway."""
        return self.uid in (os.geteuid(), 0)


def peer_of(sock: socket.socket) -> Peer:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", raw))


@dataclass(frozen=True, slots=True)
class Offer:
    """What is handed on: sockets by their address as it is written, and where workers share their state, if they do."""

    sockets: Mapping[str, Sequence[socket.socket]]
    directory: Path | None = None


# -- who runs --------------------------------------------------------------------------------------------------------


async def heard(sock: socket.socket) -> dict[str, Any]:
    """What a newcomer says first. Raises HandoverError, TimeoutError or OSError."""
    loop = asyncio.get_running_loop()
    data = b""
    async with asyncio.timeout(ANSWERS):
        while not data.endswith(b"\n") and len(data) < LONGEST:
            piece = await loop.sock_recv(sock, LONGEST)
            if not piece:
                break
            data += piece
    return _read(data)


def hand_on(sock: socket.socket, offer: Offer) -> None:
    pairs = [(name, each.fileno()) for name, some in offer.sockets.items() for each in some][:MOST]
    say(
        sock,
        [number for _, number in pairs],
        sockets=[name for name, _ in pairs],
        directory=str(offer.directory) if offer.directory is not None else None,
    )


def refuse(sock: socket.socket, why: str) -> None:
    say(sock, refused=why)


def say(sock: socket.socket, numbers: Sequence[int] = (), **more: object) -> None:
    """A line is small: it fits into the kernel's buffer at once."""
    line = {"gateway": "longpoll-gateway", "protocol": PROTOCOL, "release": __version__, "pid": os.getpid(), **more}
    socket.send_fds(sock, [json.dumps(line).encode() + b"\n"], numbers)


# -- who comes -------------------------------------------------------------------------------------------------------


class Taken:
    """What the running process has handed on. It goes on as if nothing was, until it is told that we are `ready`."""

    def __init__(self, line: socket.socket, sockets: Mapping[str, Sequence[socket.socket]], said: Mapping[str, Any]):
        self.sockets = dict(sockets)
        self.pid: int = said["pid"]
        self.directory = Path(said["directory"]) if said.get("directory") else None
        self.link: Link | None = None
        self._line = line

    async def listen(self, handlers: Mapping[str, Handler]) -> None:
        """From now on the other may tell us something."""
        self.link = await Link.over(self._line, handlers)

    async def ready(self, addresses: Sequence[str]) -> bool:
        """We serve: the other drains, and lets go of what it listens on, which at these addresses we do. False when it
        is gone already."""
        assert self.link is not None
        try:
            async with asyncio.timeout(ANSWERS):
                await self.link.ask("taken", addresses=list(addresses))
        except (TimeoutError, ConnectionError):
            return False
        return True


def take_over(path: Path) -> Taken | None:
    """Asks the process that listens there for its sockets, and waits for them; None when nobody does. Raises
    HandoverError."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.settimeout(ANSWERS)
        line.connect(str(path))
        peer = peer_of(line)
        if not peer.trusted and os.geteuid() != 0:
            raise HandoverError(f"unix:{path} is listened on by user {peer.uid}; run as that user, or as root")
        say(line, ask="sockets")
        said, numbers = _answer(line)
        return _taken(line, path, said, [socket.socket(fileno=number) for number in numbers])
    except (FileNotFoundError, ConnectionRefusedError):
        line.close()
        return None
    except OSError as error:
        line.close()
        if isinstance(error, HandoverError):
            raise
        reason = "it does not answer" if isinstance(error, TimeoutError) else (error.strerror or str(error)).lower()
        denied = error.errno in (errno.EACCES, errno.EPERM)
        remedy = "run as the user whose it is, or as root" if denied else "stop it, then start this one"
        raise HandoverError(f"cannot take over from the gateway at unix:{path}: {reason}; {remedy}") from None


def _answer(line: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, numbers = b"", list[int]()
    while not data.endswith(b"\n") and len(data) < LONGEST:
        piece, some, _, _ = socket.recv_fds(line, LONGEST, MOST)
        numbers += some
        if not piece:
            break
        data += piece
    return _read(data), numbers


def _taken(line: socket.socket, path: Path, said: dict[str, Any], sockets: list[socket.socket]) -> Taken:
    why = None
    if said["protocol"] != PROTOCOL:
        why = (
            f"it is release {said['release']} and hands its sockets on in another way (protocol {said['protocol']}, "
            f"and this one knows {PROTOCOL}); stop it, then start this one"
        )
    elif said.get("refused"):
        why = f"process {os.getpid()} may not: {said['refused']}"
    if why is not None:
        for sock in sockets:
            sock.close()
        raise HandoverError(f"cannot take over from the gateway that runs (pid {said['pid']}): {why}")
    found: dict[str, list[socket.socket]] = {}
    for name, sock in zip(said["sockets"], sockets, strict=True):
        sock.set_inheritable(False)
        sock.setblocking(False)
        found.setdefault(name, []).append(sock)
    return Taken(line, found, said)


def _read(data: bytes) -> dict[str, Any]:
    """A line of the protocol, of whatever version."""
    try:
        said = json.loads(data)
        if said["gateway"] != "longpoll-gateway" or not isinstance(said["protocol"], int):
            raise ValueError
        return {"release": "", "pid": 0, **said}
    except (ValueError, KeyError, TypeError):
        raise HandoverError("what is there speaks like no longpoll-gateway; look what listens there") from None


# -- what workers share ----------------------------------------------------------------------------------------------


def inherit(before: Path, directory: Path, size: int) -> None:
    """The state of the machine before becomes that of this one too: the same files under another name, which outlive
    the directory of the other."""
    there = before / STATE / "data"
    if not there.exists():
        return
    if there.stat().st_size != size:
        logger.warning("state.size has changed, so what was counted before is forgotten and begins anew")
        return
    (directory / STATE).mkdir(0o700)
    for file in (before / STATE).iterdir():
        os.link(file, directory / STATE / file.name)

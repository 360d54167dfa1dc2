"""Where a running gateway can be asked for its sockets, by a process that is to take its place (`--replace`): one at a
time, and of the same user or root only. As long as the newcomer does not serve nothing changes here.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import stat
import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from gateway.config.addresses import Listen
from gateway.edge.listen import bind
from gateway.machine.handover import CONTROL, PROTOCOL, Offer, Peer, hand_on, heard, peer_of, refuse
from gateway.machine.link import Handler, Link

logger = logging.getLogger("gateway")

_LONGEST = 107  # bytes of a path that a unix socket may have
_YOUNG = 60.0  # seconds


class Replaced(Protocol):
    """A process, or a machine of them, whose place may be taken."""

    def offer(self) -> Offer: ...

    successor: Link | None  # the line to who asked for its place, or has it

    async def hand_over(self, pid: int, addresses: Collection[str]) -> None:
        """That process has its place now: it lets go of what is listened on at these addresses, and then drains."""

    def heard(self, to: str, name: str, data: dict[str, Any], from_before: bool = False) -> None:
        """Word for a worker, from one of the machine in whose place we are, or of the one that is in ours."""


def control_path(config: Path, written: Listen | None, environ: Mapping[str, str]) -> Path:
    """Where the gateway with that configuration listens for a newcomer: as its file says, else a place of its user that
    follows from the file's path."""
    if written is not None and written.path is not None:
        return Path(written.path)
    name = blake2b(os.path.realpath(config).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest() + ".sock"
    own = Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    if own.is_dir() and len(bytes(path := own / "longpoll-gateway" / name)) <= _LONGEST:
        return path
    return Path(f"/tmp/longpoll-gateway-{os.geteuid()}") / name


class Control:
    """Listens at `path`, or goes on with the socket of the process before."""

    def __init__(self, path: Path, replaced: Replaced, written: bool = False) -> None:
        self.path = path
        self._written = written  # by a person, who answers for the folder it is in
        self.busy = False  # somebody asked for our place, or has it
        self._replaced = replaced
        self._sock: socket.socket | None = None
        self._own = False
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, given: Sequence[socket.socket] = ()) -> None:
        """That it cannot listen stops nobody from serving."""
        try:
            self._sock = given[0] if given and given[0].getsockname() == str(self.path) else self._bind()
        except OSError as error:
            logger.warning("nobody can take over from this process with --replace: %s", _said(error))
            return
        self._own = True
        asyncio.get_running_loop().add_reader(self._sock, self._accept)

    def _bind(self) -> socket.socket:
        if not self._written:
            _private(self.path.parent)
            _sweep(self.path.parent)
        sock = bind(Listen("", 0, str(self.path)))[0]
        os.chmod(self.path, 0o600)
        return sock

    @property
    def sockets(self) -> list[socket.socket]:
        return [self._sock] if self._sock is not None else []

    def close(self) -> None:
        """The file goes with it, unless a newcomer has it."""
        if self._sock is None:
            return
        asyncio.get_running_loop().remove_reader(self._sock)
        if self._own:
            self.path.unlink(missing_ok=True)
        self._sock.close()
        self._sock = None

    def _accept(self) -> None:
        assert self._sock is not None
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._greet(sock))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, sock: socket.socket) -> None:
        peer = peer_of(sock)
        try:
            said = await heard(sock)
            if (why := self._why_not(peer, said)) is not None:
                logger.warning("process %d may not take over: %s", peer.pid, why)
                refuse(sock, why)
            else:
                await self._offer(sock, peer)
        except (OSError, TimeoutError) as error:
            logger.warning("process %d did not take over: %s", peer.pid, error)
        finally:
            sock.close()

    def _why_not(self, peer: Peer, said: dict[str, Any]) -> str | None:
        if not peer.trusted:
            user = os.geteuid()
            return f"it is run by user {peer.uid} and the gateway by user {user}; run it as user {user}, or as root"
        if said["protocol"] != PROTOCOL:
            return (
                f"it takes sockets over in another way (protocol {said['protocol']}, and this one knows {PROTOCOL}); "
                "stop the gateway, then start it"
            )
        return "another process is about to take over already; wait for it, then ask again" if self.busy else None

    async def _offer(self, sock: socket.socket, peer: Peer) -> None:
        """The newcomer has copies of our sockets. It comes to serve, or its end is all that is heard of it."""
        taken = asyncio.Event()
        self.busy = True
        try:
            offer = self._replaced.offer()
            hand_on(sock, Offer({**offer.sockets, CONTROL: self.sockets}, offer.directory))
            logger.info("process %d is about to take over", peer.pid)
            handlers: dict[str, Handler] = {"taken": partial(self._taken, taken, peer), "pass": self._replaced.heard}
            link = self._replaced.successor = await Link.over(sock, handlers)
            await link.lost
        finally:
            self._replaced.successor = None
            if not taken.is_set():
                self.busy = False
                logger.warning("process %d is gone before it served; this one goes on", peer.pid)

    async def _taken(self, taken: asyncio.Event, peer: Peer, addresses: list[str]) -> None:
        if taken.is_set():
            return
        taken.set()
        logger.info("process %d serves in this one's place", peer.pid)
        self._own = CONTROL not in addresses
        self.close()
        await self._replaced.hand_over(peer.pid, frozenset(addresses))


def _said(error: OSError) -> str:
    """A sentence of ours, or what the system says of a folder that cannot be made."""
    if error.filename is None:
        return error.strerror or str(error)
    return f"{error.filename}: {(error.strerror or 'unknown error').lower()}; write server.control"


def _private(folder: Path) -> None:
    """A folder that only this user can put anything into."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise OSError(0, f"{folder} is not a directory of this user alone; remove it, or write server.control")


def _sweep(folder: Path) -> None:
    """Removes what gateways that were killed have left there. One that is young may be about to be listened on."""
    for path in folder.glob("*.sock"):
        try:
            found = path.lstat()
            if stat.S_ISSOCK(found.st_mode) and found.st_mtime < time.time() - _YOUNG and _is_left(path):
                path.unlink()
        except OSError:  # somebody else was first
            continue


def _is_left(path: Path) -> bool:
    """Whether nobody listens there. It is asked in a way that who does will not notice."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED  # else of another type (EPROTOTYPE): there is one
    return False

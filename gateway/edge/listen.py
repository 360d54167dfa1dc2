"""Listening sockets: opened here, or by whoever started the process. What is set on them, accepted connections inherit:
no system call per connection.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from gateway.config.addresses import Listen
from gateway.config.schema import Server
from gateway.sockets import VANISHED_AFTER, tune

logger = logging.getLogger("gateway")

BACKLOG = 4096
Given = Mapping[str, Sequence[socket.socket]]  # by the address as it is written
NOTHING: Given = MappingProxyType({})


class ListenError(OSError):
    """An address cannot be listened on; the text is one sentence for the operator."""


@dataclass(slots=True)
class Bound:
    """Sockets that are listened on, by their address as it is written. `files` are those of unix sockets that end with
    them: what is found there later is a successor's."""

    sockets: Given
    files: list[Path] = field(default_factory=list)

    def unbind(self) -> None:
        """Removes the files, once, while they are listened on."""
        while self.files:
            self.files.pop().unlink(missing_ok=True)

    def own(self, kept: Collection[str] = ()) -> None:
        """From now on the files of all unix sockets end with them, but for those at the addresses that are `kept`."""
        mine = [name for name, some in self.sockets.items() if some and some[0].family == socket.AF_UNIX]
        self.files = [Path(name[5:]) for name in mine if name.startswith("unix:") and name not in kept]

    def close(self) -> None:
        self.unbind()
        self.let_go()

    def let_go(self) -> None:
        """Other processes may still listen on them."""
        for some in self.sockets.values():
            for sock in some:
                sock.close()


def bind_all(server: Server, given: Given = NOTHING) -> Bound:
    """All addresses of `[server]`. Raises ListenError, and then nothing is left open."""
    bound = bind_some(server.listen, server.vanished_after, given)
    for listen in server.listen:
        logger.info("listening on %s", listen)
    return bound


def bind_some(listens: Iterable[Listen], vanished_after: float = VANISHED_AFTER, given: Given = NOTHING) -> Bound:
    """These addresses, but for those that are `given`: the files of these are still somebody else's. Raises
    ListenError, and then nothing is left open."""
    sockets: dict[str, list[socket.socket]] = {}
    bound = Bound(sockets)
    try:
        for listen in sorted(listens, key=lambda each: each.fd is None):  # before a number is that of one of ours
            taken = given.get(str(listen))
            sockets[str(listen)] = again(taken, vanished_after) if taken else bind(listen, vanished_after)
            if listen.path is not None and not taken:
                bound.files.append(Path(listen.path))
    except OSError:
        bound.close()
        raise
    return bound


def bind(listen: Listen, vanished_after: float = VANISHED_AFTER) -> list[socket.socket]:
    """Listening sockets for one address: several where a name has several. Clients that vanish are found after so many
    seconds. Raises ListenError."""
    try:
        if listen.fd is not None:
            return [_handed(listen.fd, vanished_after)]
        if listen.path is not None:
            return [_unix(Path(listen.path))]
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_tcp(family, address, vanished_after) for family, _, _, _, address in dict.fromkeys(found)]
    except OSError as error:
        reason = _reason(error) if listen.path is None else _reason_unix(error)
        raise ListenError(error.errno or 0, f"cannot listen on {listen}: {reason}") from None


def unbind(listen: Listen) -> None:
    """Removes the file of a unix socket, for who still listens on it: nobody else can have put another in its place."""
    if listen.path is not None:
        Path(listen.path).unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    if isinstance(error, _HandedError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; stop what uses it or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; choose a port above 1023 or give the process CAP_NET_BIND_SERVICE"
    return f"{(error.strerror or 'unknown error').lower()}; check the address"


def _reason_unix(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use, or what is there is no socket; stop what uses it or choose another path"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; let this user write into that directory, or choose another path"
    return f"{(error.strerror or 'unknown error').lower()}; check the path"


def again(sockets: Sequence[socket.socket], vanished_after: float = VANISHED_AFTER) -> list[socket.socket]:
    """Sockets that another process has listened on, for this one."""
    for sock in sockets:
        if sock.family != socket.AF_UNIX:
            tune(sock, vanished_after)
    return list(sockets)


class _HandedError(OSError):
    """A descriptor is not what it should be; the text says what, and what to do."""


def _handed(number: int, vanished_after: float) -> socket.socket:
    """A socket that whoever started this process listens on."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        mode = 0
    if not stat.S_ISSOCK(mode):
        what = "is no socket" if mode else "was not handed over"
        raise _HandedError(f"this descriptor {what}; start the gateway by a systemd socket unit, or write HOST:PORT")
    sock = socket.socket(fileno=number)
    if sock.type != socket.SOCK_STREAM or not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()  # it is somebody else's
        raise _HandedError("nobody listens on this socket; write ListenStream= and Accept=no into the socket unit")
    sock.set_inheritable(False)
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX:
        tune(sock, vanished_after)
    return sock


def _tcp(family: int, address: tuple[object, ...], vanished_after: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        tune(sock, vanished_after)
        sock.bind(address)
        return _listening(sock)
    except OSError:
        sock.close()
        raise


def _unix(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        return _listening(sock)
    except OSError:
        sock.close()
        raise


def _listening(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    sock.listen(BACKLOG)
    return sock


def _remove_stale(path: Path) -> None:
    """A socket file that nobody listens on is left over from a process that was killed."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe_socket:
        try:
            probe_socket.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)

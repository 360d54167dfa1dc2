"""Listening sockets. What is set on them here, accepted connections inherit: no system call per connection."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from gateway.config.addresses import Listen
from gateway.sockets import VANISHED_AFTER, tune

BACKLOG = 4096


class ListenError(OSError):
    """An address cannot be listened on; the text is one sentence for the operator."""


def bind(listen: Listen, vanished_after: float = VANISHED_AFTER) -> list[socket.socket]:
    """Listening sockets for one address: several where a name has several. Clients that vanish are found after so many
    seconds. Raises ListenError."""
    try:
        if listen.path is not None:
            return [_unix(Path(listen.path))]
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_tcp(family, address, vanished_after) for family, _, _, _, address in dict.fromkeys(found)]
    except OSError as error:
        raise ListenError(error.errno or 0, f"cannot listen on {listen}: {_reason(error)}") from None


def unbind(listen: Listen) -> None:
    """Removes the file of a unix socket, for who still listens on it: nobody else can have put another in its place."""
    if listen.path is not None:
        Path(listen.path).unlink(missing_ok=True)


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use; stop what uses it or choose another port"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission denied; choose a port above 1023 or give the process CAP_NET_BIND_SERVICE"
    return f"{(error.strerror or 'unknown error').lower()}; check the address"


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

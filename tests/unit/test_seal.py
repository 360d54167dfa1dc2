"""A sealed listener: nobody comes into its queue any more; who is in it, or has a connection, notices nothing."""

from __future__ import annotations

import socket

import pytest

from gateway.edge.seal import seal
from tests.kit.sockets import linux_only

WAIT = 0.05  # seconds; a handshake on this machine is over when `connect` returns


def listening(family: socket.AddressFamily, host: str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((host, 0))
    sock.listen(16)
    sock.settimeout(WAIT)
    return sock


@linux_only
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_who_was_in_the_queue_is_taken_and_nobody_comes_after_him(family: socket.AddressFamily, host: str) -> None:
    with listening(family, host) as listener, socket.create_connection(listener.getsockname()[:2]) as early:
        seal(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname()[:2], timeout=WAIT)
        taken, _ = listener.accept()
        with taken:
            early.sendall(b"hello")
            assert taken.recv(16) == b"hello"
            taken.sendall(b"well met")
            taken.shutdown(socket.SHUT_WR)
            assert (early.recv(16), early.recv(16)) == (b"well met", b"")
        with pytest.raises(TimeoutError):
            listener.accept()


@linux_only
def test_who_asked_a_sealed_listener_finds_its_successor() -> None:
    """What was dropped is sent again, after a second as a rule."""
    with listening(socket.AF_INET, "127.0.0.1") as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place = first.getsockname()
        seal(first)
        late = socket.socket()
        late.setblocking(False)
        assert late.connect_ex(place) != 0
        first.close()
    with late, socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.bind(place)
        second.listen(1)
        second.settimeout(30)
        taken, _ = second.accept()
        taken.close()


def test_a_unix_socket_is_left_as_it_is() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        seal(sock)

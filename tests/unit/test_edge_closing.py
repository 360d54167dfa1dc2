"""How a client's connection ends: in bounded time, whatever its transport and its peer make of it. The clock is moved
by hand; only the transport is a stand-in.
"""

from __future__ import annotations

import asyncio
import errno
from typing import cast

import pytest

from gateway.edge.edge import Edge
from gateway.edge.http1 import LINGER, Downstream
from gateway.edge.room import Room
from gateway.parse import Parsers
from gateway.shapes import EdgeLimits
from tests.kit.raw import get
from tests.kit.serving import Scene
from tests.kit.wires import Wire


class Gone(Wire):
    """Its peer has reset the connection, which nobody has noticed because nothing was read."""

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


class Secure(Wire):
    """TLS: it has no half-close, and `close` waits for the peer's goodbye."""

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.ended = "goodbye"

    def abort(self) -> None:
        self.ended = "reset"


def connected(scene: Scene, wire: Wire, scheme: str = "http") -> Downstream:
    loop = cast(asyncio.AbstractEventLoop, scene.loop)
    made = Downstream(Edge(scene.serve, Parsers(loop), scene.timers, EdgeLimits(), "gone", Room()), scheme, "192.0.2.1")
    made.connection_made(cast(asyncio.Transport, wire))
    return made


REFUSED_UPLOAD = get("/nowhere", "Content-Length: 1000", method="POST")


@pytest.mark.parametrize(("wire", "scheme"), [(Wire(), "http"), (Gone(), "http"), (Secure(), "https")])
def test_a_body_nobody_wants_is_taken_in_for_a_moment_only(wire: Wire, scheme: str) -> None:
    scene = Scene()
    conn = connected(scene, wire, scheme)
    conn.data_received(REFUSED_UPLOAD)
    assert wire.sent.startswith(b"HTTP/1.1 404 ") and not wire.is_closing()
    conn.data_received(bytes(500))
    scene.loop.advance(LINGER - 0.1)
    assert wire.ended in ("", "eof")
    scene.loop.advance(2 * LINGER)
    assert wire.ended in ("eof", "closed", "reset") and not scene.loop.errors


def test_a_tls_client_has_a_moment_to_say_goodbye() -> None:
    scene, wire = Scene(), Secure()
    conn = connected(scene, wire, "https")
    conn.data_received(get("/nowhere", "Connection: close"))
    assert wire.ended == "goodbye"
    scene.loop.advance(LINGER + 0.1)
    assert wire.ended == "reset"


def test_a_connection_that_closed_in_time_is_not_touched_again() -> None:
    scene, wire = Scene(), Secure()
    conn = connected(scene, wire, "https")
    conn.data_received(get("/nowhere", "Connection: close"))
    conn.connection_lost(None)
    scene.loop.advance(2 * LINGER)
    assert wire.ended == "goodbye"

"""A connection there is no room for: it is told, has a moment to hear it, and is then gone, whatever its client does.
The clock is moved by hand; only the transport is a stand-in.
"""

from __future__ import annotations

import asyncio
import errno
from typing import cast

import pytest

from gateway import refusals
from gateway.edge.accept import Away
from gateway.edge.edge import Edge
from gateway.edge.http1 import LINGER
from gateway.edge.room import Room
from gateway.parse import Parsers
from gateway.shapes import EdgeLimits
from tests.kit.crowd import Crowd
from tests.kit.wires import Wire


class Gone(Wire):
    """Its peer has reset the connection, which nobody has noticed because nothing was read."""

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


class Secure(Wire):
    """TLS has no half-close."""

    def can_write_eof(self) -> bool:
        return False


def sent_away(crowd: Crowd, wire: Wire) -> tuple[Away, Room]:
    room = Room()
    edge = Edge(crowd.serve, Parsers(crowd.loop), crowd.timers, EdgeLimits(), "gone", room)
    made = Away(edge, refusals.TOO_MANY_CONNECTIONS)
    room.turn_away(ended=False)
    crowd.loop.call_soon(made.connection_made, cast(asyncio.Transport, wire))
    crowd.loop.advance(0.0)
    return made, room


@pytest.mark.parametrize(("wire", "ended"), [(Wire(), "eof"), (Gone(), ""), (Secure(), "")])
def test_it_is_told_and_has_a_moment_to_hear_it(wire: Wire, ended: str) -> None:
    crowd = Crowd()
    _, room = sent_away(crowd, wire)
    assert b"Connection: close" in wire.sent and b"Retry-After: " in wire.sent
    crowd.loop.advance(LINGER - 0.1)
    assert (wire.ended, room.away) == (ended, 1)
    assert not crowd.loop.errors


@pytest.mark.parametrize("wire", [Gone(), Secure()])
def test_who_stays_is_cut_off(wire: Wire) -> None:
    crowd = Crowd()
    sent_away(crowd, wire)
    crowd.loop.advance(LINGER + 0.1)
    assert wire.ended == "reset" and not crowd.loop.errors


def test_who_left_is_counted_out_and_not_touched_again() -> None:
    crowd, wire = Crowd(), Secure()
    away, room = sent_away(crowd, wire)
    away.connection_lost(None)
    crowd.loop.advance(2 * LINGER)
    assert (wire.ended, room.away) == ("", 0)


def test_they_are_told_different_times() -> None:
    told = set()
    for _ in range(40):
        sent_away(Crowd(), wire := Wire())
        told.add(int(wire.sent.partition(b"Retry-After: ")[2].partition(b"\r\n")[0]))
    assert len(told) > 1 and min(told) >= 1 and max(told) <= 9

"""A place under a cap is free in the turn of the loop in which its call ends, however it ends: no turn passes here
between the end of one call and the head of the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from gateway.edge.edge import Edge
from gateway.edge.http1 import Downstream
from gateway.edge.room import Room
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.policies.caps import compile_cap
from gateway.shapes import EdgeLimits
from tests.kit.crowd import JSON, Crowd
from tests.kit.heads import response
from tests.kit.raw import get, post
from tests.kit.wires import Wire


class Doors:
    """Clients' connections to a gateway whose route has one place."""

    def __init__(self, half_close: str = "gone") -> None:
        self.crowd = Crowd(caps=(compile_cap("cap", True, 1, "route", {}),))
        self.edge = Edge(
            self.crowd.serve, Parsers(self.crowd.loop), self.crowd.timers, EdgeLimits(), half_close, Room()
        )  # fmt: skip

    def connect(self, scheme: str = "http") -> Downstream:
        conn = Downstream(self.edge, scheme, "192.0.2.1")
        conn.connection_made(cast(asyncio.Transport, Wire()))
        return conn

    def admitted(self, conn: Downstream, request: bytes = get("/updates")) -> bool:
        before = len(self.crowd.sent)
        conn.data_received(request)
        return len(self.crowd.sent) == before + 1


def fin(doors: Doors, conn: Downstream) -> None:
    assert conn.eof_received() is False


def rst(doors: Doors, conn: Downstream) -> None:
    conn.connection_lost(ConnectionResetError())


def answer(doors: Doors, conn: Downstream) -> None:
    call = conn.call
    assert call is not None
    call.up = None
    doors.crowd.serve.on_head(call, response(200, JSON, 3), b"[1]", True)


def part(doors: Doors, conn: Downstream) -> None:
    """The client leaves in the middle of its answer."""
    call = conn.call
    assert call is not None
    doors.crowd.serve.on_head(call, response(200, JSON, 30), b"[1", False)
    fin(doors, conn)


def evicted(doors: Doors, conn: Downstream) -> None:
    assert conn.call is not None
    doors.crowd.serve.on_evict(conn.call)


Ending = Callable[[Doors, Downstream], None]
ENDINGS: list[tuple[Ending, Outcome]] = [
    (fin, Outcome.CLIENT_GONE), (rst, Outcome.CLIENT_GONE), (part, Outcome.CLIENT_GONE), (answer, Outcome.NEWS),
    (evicted, Outcome.EVICTED),
]  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("end", "outcome"), ENDINGS)
def test_the_place_is_free_in_the_same_turn(end: Ending, outcome: Outcome, scheme: str) -> None:
    doors = Doors()
    first, second, third = (doors.connect(scheme) for _ in range(3))
    assert doors.admitted(first) and not doors.admitted(second)
    end(doors, first)
    assert doors.admitted(third)
    assert [call.outcome for call in doors.crowd.records] == [Outcome.CAPPED, outcome]


@pytest.mark.parametrize("request_", [get("/updates"), post(b"x" * 10, "/updates")[:-5]])
def test_the_end_of_a_connection_that_was_already_seen_changes_nothing(request_: bytes) -> None:
    doors = Doors()
    first, second = doors.connect(), doors.connect()
    assert doors.admitted(first, request_)
    fin(doors, first)
    assert doors.admitted(second)
    first.connection_lost(None)
    assert len(doors.crowd.records) == 1 and doors.crowd.store.held("cap", "updates") == 1
    assert doors.edge.connections == {second}


def test_a_client_that_only_shut_its_side_keeps_its_place_where_that_is_no_goodbye() -> None:
    doors = Doors(half_close="answer")
    first, second = doors.connect(), doors.connect()
    assert doors.admitted(first)
    assert first.eof_received() is True
    assert not doors.admitted(second)
    answer(doors, first)
    assert b"[1]" in cast(Any, first.transport).sent

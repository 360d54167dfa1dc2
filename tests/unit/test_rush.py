"""Answers that come with many others in one turn of the loop wait for theirs: nobody else does meanwhile, each is told
in its order, and none is lost to what happens to its call before that.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.demands import evict
from gateway.outcome import Outcome
from gateway.rush import LOOK, MOST, Rush
from tests.kit.line import Line
from tests.kit.serving import HandLoop

NEWS = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1, 2]"
FIRST = NEWS[:-3]  # its end comes later
HALF = NEWS[:20]  # and so does that of its head


class Other:
    """A connection whose answer came, too, to a poll of its own."""

    def __init__(self, told: list[Other], breaks: bool = False) -> None:
        self.call = object()
        self.told = told
        self.breaks = breaks

    def catch_up(self) -> None:
        self.told.append(self)
        if self.breaks:
            raise RuntimeError("a bug")


def come(rush: Rush, others: list[Other]) -> list[bool]:
    """Whose answer must wait."""
    return [rush.keeps(cast(Any, other), cast(Any, other.call)) for other in others]


def waiting(line: Line, data: bytes = NEWS) -> Any:
    """The connection of a poll whose answer came behind those of as many others as a turn has room for."""
    made = line.call()
    come(made._parsers.rush, [Other([]) for _ in range(MOST)])
    made.data_received(data)
    assert line.scene.call.outcome is None and not line.scene.call.status
    return made


def test_a_turn_of_the_loop_has_room_for_so_many_and_the_rest_follow_in_their_order() -> None:
    loop, told = HandLoop(), list[Other]()
    rush, others = Rush(cast(asyncio.AbstractEventLoop, loop)), [Other(told) for _ in range(3 * MOST + 5)]
    assert come(rush, others) == [False] * MOST + [True] * (2 * MOST + 5)
    kept, sizes = others[MOST:], []
    while loop.handles:
        turn, loop.handles = loop.handles, []
        for handle in turn:
            handle.callback()
        sizes.append(len(told))
    assert (told, sizes) == (kept, [MOST, 2 * MOST, 2 * MOST + 5])
    assert come(rush, others[:MOST]) == [False] * MOST, "and then it is as before"


def test_while_some_wait_whoever_comes_waits_behind_them() -> None:
    loop, told = HandLoop(), list[Other]()
    rush, early, late = Rush(cast(asyncio.AbstractEventLoop, loop)), [Other(told) for _ in range(2 * MOST)], Other(told)
    come(rush, early)
    assert come(rush, [late]) == [True]
    loop.advance(1)
    assert told == [*early[MOST:], late]


def test_few_in_each_turn_never_wait() -> None:
    loop = HandLoop()
    rush = Rush(cast(asyncio.AbstractEventLoop, loop))
    for _ in range(100):
        assert come(rush, [Other([]) for _ in range(MOST - LOOK)]) == [False] * (MOST - LOOK)
        loop.advance(0.001)


def test_a_bug_in_one_call_keeps_no_other_answer_back() -> None:
    loop, told = HandLoop(), list[Other]()
    rush, others = (
        Rush(cast(asyncio.AbstractEventLoop, loop)),
        [Other(told, breaks=n == MOST + 3) for n in range(3 * MOST)],
    )
    come(rush, others)
    loop.advance(1)
    assert told == others[MOST:] and len(loop.errors) == 1
    assert come(rush, others[:MOST]) == [False] * MOST


@pytest.mark.parametrize("data", [NEWS, FIRST, HALF], ids=["whole", "in part", "half a head"])
def test_an_answer_that_waited_is_told_in_its_turn(data: bytes) -> None:
    line = Line("template")
    made = waiting(line, data)
    line.scene.loop.advance(0.001)
    if data != NEWS:
        made.data_received(NEWS[len(data) :])
    assert (line.scene.call.outcome, line.scene.call.status, line.scene.call.bytes_out) == (Outcome.NEWS, 200, 6)
    line.scene.check_settled()


@pytest.mark.parametrize("data", [FIRST, HALF], ids=["in part", "half a head"])
def test_what_follows_is_read_behind_what_waits(data: bytes) -> None:
    line = Line("template")
    waiting(line, data).data_received(NEWS[len(data) :])
    assert line.scene.call.outcome is Outcome.NEWS
    line.scene.loop.advance(0.001)
    line.scene.check_settled()


def happens(line: Line, what: str, made: Any) -> None:
    scene = line.scene
    if what == "deadline":
        scene.serve.on_deadline(scene.call, scene.call.deadline)
    elif what == "evicted":
        evict(scene.call, "another")
    elif what == "superseded":
        scene.serve.on_superseded(scene.call)
    elif what == "closed":
        made.connection_lost(None)
    else:
        made.connection_lost(ConnectionResetError())


@pytest.mark.parametrize("what", ["deadline", "evicted", "superseded", "closed", "reset"])
def test_news_that_has_come_is_not_lost_to_what_would_end_the_hold(what: str) -> None:
    line = Line("template")
    made = waiting(line)
    happens(line, what, made)
    call = line.scene.call
    assert (call.outcome, call.status, call.bytes_out, call.note) == (Outcome.NEWS, 200, 6, None)
    line.scene.loop.advance(0.001)
    line.scene.check_settled()


def test_a_client_that_left_meanwhile_gets_nothing_and_its_connection_is_reset() -> None:
    line = Line("template")
    waiting(line)
    line.scene.serve.on_gone(line.scene.call)
    line.scene.loop.advance(0.001)
    assert line.scene.call.outcome is Outcome.CLIENT_GONE and line.wires[0].ended == "reset"
    line.scene.check_settled()


def test_what_is_no_poll_does_not_wait() -> None:
    line = Line()
    made = line.call()
    come(made._parsers.rush, [Other([]) for _ in range(2 * MOST)])
    made.data_received(NEWS)
    assert line.scene.call.outcome is Outcome.ANSWERED


def test_what_is_written_in_a_turn_leaves_when_all_of_it_were_told() -> None:
    class Box:
        open = False

        def gather(self) -> None:
            self.open = True

        def send(self) -> None:
            self.open = False

    class Writer(Other):
        def catch_up(self) -> None:
            super().catch_up()
            gathered.append(box.open)

    loop, told, gathered, box = HandLoop(), list[Other](), list[bool](), Box()
    rush = Rush(cast(asyncio.AbstractEventLoop, loop))
    rush.outbox = cast(Any, box)
    come(rush, [Writer(told) for _ in range(MOST + 3)])
    assert rush.crowded
    while loop.handles:
        turn, loop.handles = loop.handles, []
        for handle in turn:
            handle.callback()
    assert gathered == [True] * 3 and not box.open and not rush.crowded

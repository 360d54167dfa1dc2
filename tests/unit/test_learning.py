"""What a call teaches as its answer passes, and what it knows of those before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.head import Known, ResponseHead
from gateway.holds.predicate import compile_when
from gateway.outcome import Outcome
from gateway.upstream import failure
from gateway.verdicts import LESSON
from tests.kit.calls import head_of
from tests.kit.holds import hold_plan
from tests.kit.serving import Scene

from .test_memory import SESSION, poll
from .test_serve_events import end, failed, head


def handshake(**changes: Any) -> Scene:
    """An ordinary call whose answer begins a session."""
    hold = hold_plan(when=compile_when(["query:sid present"]), session=replace(SESSION, **changes))
    return Scene("template", hold=hold, head=head_of("/updates"))


def remembered(scene: Scene, sid: str) -> Known | None:
    return scene.serve._memory.of_session(scene.plan, poll(sid), scene.loop.now)


def piece(data: bytes) -> Any:
    return lambda scene: scene.serve.on_body(scene.call, data)


@pytest.mark.parametrize(
    "moves",
    [[head(200, b"a 25", True)], [head(200, b"a", False), piece(b" 2"), piece(b"5"), end],
     [head(200, b"", False), piece(b"a 25" + b" " * (LESSON - 4)), end]],
)  # fmt: skip
def test_a_whole_short_answer_to_a_handshake_teaches(moves: list[Any]) -> None:
    scene = handshake().open()
    assert scene.call.hold is None and scene.call.teaches
    for move in moves:
        move(scene)
    assert remembered(scene, "a") == Known(25.0)
    assert scene.call.outcome is Outcome.ANSWERED and scene.call.sample is None
    scene.check_settled()


@pytest.mark.parametrize(
    "moves",
    [[head(200, b"a 25", False), failed(failure.RESET)], [head(200, b"a 25", False), piece(b" " * LESSON), end],
     [head(200, b"a 25" + b" " * LESSON, True)], [head(500, b"a 25", True)], [head(200, b"", True)],
     [head(200, b"a 25", False), lambda scene: scene.serve.on_gone(scene.call)]],
)  # fmt: skip
def test_what_is_cut_long_or_no_such_answer_teaches_nothing(moves: list[Any]) -> None:
    scene = handshake().open()
    for move in moves:
        move(scene)
    assert len(scene.serve._memory) == 0
    scene.check_settled()


def test_an_answer_to_anything_else_teaches_nothing() -> None:
    scene = handshake(when=compile_when(["query:begin present"])).open()
    head(200, b"a 25", True)(scene)
    assert len(scene.serve._memory) == 0


@pytest.mark.parametrize(("answers", "seen"), [(1, {"etag": '"v1"'}), (0, {})])
def test_a_poll_knows_the_fields_of_the_answer_before(answers: int, seen: dict[str, str]) -> None:
    scene = Scene("template", hold=hold_plan(last=("etag",)), idle=2)
    asked = scene.head
    for _ in range(answers):
        answer = ResponseHead(200, "OK", CIMultiDictProxy(CIMultiDict({"ETag": '"v1"'})), (), 1, 0, False, True)
        scene.serve._memory.notice(scene.plan, scene.call, answer, 0.0)
    scene.open()
    assert asked.known == Known(None, seen)

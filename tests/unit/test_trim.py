"""Memory goes back to the system when many have left, and only then."""

from __future__ import annotations

from gateway.clock import Timers
from gateway.edge.room import Room
from gateway.edge.trim import EVERY, MANY, Trim, malloc_trim
from tests.kit.jumping import JumpingLoop


class Scene:
    def __init__(self) -> None:
        self.loop = JumpingLoop()
        self.room = Room()
        self.calls: list[int] = []
        Trim(Timers(self.loop), self.room, self._give_back)

    def _give_back(self, keep: int) -> int:
        self.calls.append(keep)
        return 1

    def come(self, count: int) -> None:
        for _ in range(count):
            assert self.room.enter("") is None

    def leave(self, count: int) -> None:
        for _ in range(count):
            self.room.leave("")

    def pass_by(self, seconds: float = 2 * EVERY) -> None:
        self.loop.advance(seconds)


def test_memory_is_given_back_once_after_many_have_left_however_short_they_were_here() -> None:
    scene = Scene()
    scene.come(MANY + 1)
    scene.leave(MANY + 1)
    scene.pass_by()
    scene.pass_by(10 * EVERY)
    assert scene.calls == [0]
    scene.come(2 * MANY)
    scene.pass_by()
    scene.leave(2 * MANY - 1)
    scene.pass_by()
    assert scene.calls == [0, 0]


def test_nothing_is_given_back_while_most_are_here_or_few_have_left() -> None:
    scene = Scene()
    scene.come(MANY - 1)
    scene.leave(MANY - 1)
    scene.pass_by()
    scene.come(4 * MANY)
    scene.leave(2 * MANY)
    scene.pass_by()
    assert scene.calls == []
    scene.leave(1)
    scene.pass_by()
    assert scene.calls == [0]


def test_the_c_library_here_gives_memory_back_or_is_not_asked() -> None:
    give_back = malloc_trim()
    assert give_back is None or give_back(0) in (0, 1)

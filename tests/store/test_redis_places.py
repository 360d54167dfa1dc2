"""The script that lends places in a Redis server against plain lists of who has one and who waits: any order of asks,
owners that come and go, and a clock that jumps.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.kit.redis_scripts import EPOCH, Asker
from tests.kit.redis_server import RedisServer


@dataclass
class Key:
    """A place as it should be: who has one, the oldest first, and who waits."""

    holders: list[tuple[str, int]] = field(default_factory=list)
    line: list[tuple[str, int]] = field(default_factory=list)


OWNERS = ["a.1", "a.2", "b.1", "c.9"]
#        max, line, evict
CAPS = {"hard": (2, 0, False), "line": (2, 3, False), "evict": (2, 0, True), "one": (1, 1, False)}
WHO = st.sampled_from(["w1", "w2", "w3"])


class Places(RuleBasedStateMachine):
    server: RedisServer

    @initialize()
    def begin(self) -> None:
        self.asker = Asker(self.server)
        self.alive: list[str] = []
        self.buried: set[str] = set()
        for owner in OWNERS[:2]:
            self.come(owner)
        self.keys: defaultdict[str, Key] = defaultdict(Key)
        self.numbers = itertools.count(1)
        self.has: dict[tuple[str, int], list[str]] = {}  # who holds what
        self.who: dict[tuple[str, int], str] = {}
        self.waits: dict[tuple[str, int], str] = {}
        self.barred: dict[tuple[str, str], float] = {}

    def come(self, owner: str) -> None:
        self.asker.join(owner)
        self.alive.append(owner)

    def places(self, names: Sequence[str], who: str) -> list[Any]:
        found = []
        for name in names:
            most, line, evict = CAPS[name]
            found.append((name, most, line, f"{name}-{who}", 0, evict))
        return found

    def model(self, me: tuple[str, int], names: Sequence[str]) -> Any:
        """What should be answered, and what should become of it."""
        victims: dict[str, tuple[str, int] | None] = {}
        for at, name in enumerate(names, 1):
            _, line, evict = CAPS[name]
            key = self.keys[name]
            if not self.free(key, me, name):
                key.holders = [each for each in key.holders if each[0] not in self.buried]
                key.line = [each for each in key.line if each[0] not in self.buried]
            if self.free(key, me, name):
                victims[name] = None
            elif evict and key.holders:
                victims[name] = key.holders[0]
            else:
                queued = me in key.line or len(key.line) < line
                if queued and me not in key.line:
                    key.line.append(me)
                return [2, at, 1, int(queued)]
        for name, victim in victims.items():
            key = self.keys[name]
            if victim is not None:
                key.holders.remove(victim)
            key.holders.append(me)
            if me in key.line:
                key.line.remove(me)
                if len(key.holders) < CAPS[name][0]:
                    self.turn(name)
        return [1, [], [f"{one[0]}:{one[1]}" for one in victims.values() if one is not None]]

    def turn(self, name: str) -> None:
        """Whoever is told that it is his turn is alive: who is not, and is before him, is gone from the line."""
        line = self.keys[name].line
        while CAPS[name][1] and line and line[0][0] in self.buried:
            line.pop(0)

    def free(self, key: Key, me: tuple[str, int], name: str) -> bool:
        most, line, _ = CAPS[name]
        return len(key.holders) < most and (not line or not key.line or key.line[0] == me)

    @rule(data=st.data(), names=st.permutations(list(CAPS)), number=st.integers(1, 2), who=WHO)
    def take(self, data: st.DataObject, names: list[str], number: int, who: str) -> None:
        """Who comes anew, or who waits and asks again."""
        waiting = [each for each in self.waits if each[0] in self.alive]
        if waiting and data.draw(st.booleans()):
            me = data.draw(st.sampled_from(waiting))
            asked = [self.waits[me]]
        else:
            me = (data.draw(st.sampled_from(self.alive)), next(self.numbers))
            asked = names[:number]
        answer = self.asker.take(me[0], me[1], (), self.places(asked, who))
        wanted = self.model(me, asked)
        assert answer[0] == wanted[0] and [part or [] for part in answer[1:]] == [part or [] for part in wanted[1:]]
        self.waits.pop(me, None)
        if answer[0] == 1:
            self.has[me], self.who[me] = list(asked), who
        elif answer[3]:
            self.waits[me] = asked[answer[1] - 1]

    @precondition(lambda self: self.has)
    @rule(data=st.data(), again=st.booleans())
    def release(self, data: st.DataObject, again: bool) -> None:
        """Once or twice, of what it has or has lost."""
        mine = [each for each in self.has if each[0] in self.alive]
        if not mine:
            return
        me = data.draw(st.sampled_from(mine))
        marks = [(name, who, line) for name, _, line, who, *_ in self.places(self.has[me], self.who[me])]
        for _ in range(1 + again):
            self.asker.ask(me[0], ("release", me[1], marks))
        for name, key in self.keys.items():
            if me in key.holders:
                key.holders.remove(me)
                self.turn(name)
        del self.has[me]

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        mine = [each for each in self.waits if each[0] in self.alive]
        if mine:
            me = data.draw(st.sampled_from(mine))
            name = self.waits.pop(me)
            self.asker.ask(me[0], ("leave", me[1], name))
            first = self.keys[name].line[0] == me
            self.keys[name].line.remove(me)
            if first:
                self.turn(name)

    @precondition(lambda self: len(self.alive) > 1)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.alive))
        self.alive.remove(owner)
        self.buried.add(owner)
        self.asker.node(owner, "leave")
        assert (
            self.asker.redis.evalsha(self.asker._decide.digest, 1, f"{self.asker.prefix}:nodes", owner, "[]")
            == "unknown"
        )

    @precondition(lambda self: len(self.alive) + len(self.buried) < len(OWNERS))
    @rule()
    def appear(self) -> None:
        self.come(OWNERS[len(self.alive) + len(self.buried)])

    @rule(seconds=st.sampled_from([1.0, 3600.0, -3600.0]))
    def clock(self, seconds: float) -> None:
        """No clock has a say about places."""
        self.asker.at(self.asker.time + EPOCH + seconds)

    @invariant()
    def as_many_as_there_are(self) -> None:
        for name, key in self.keys.items():
            for kind, wanted in (("l", key.holders), ("w", key.line)):
                found = self.asker.redis.zrange(f"{self.asker.prefix}:{kind}:{name}", 0, -1)
                assert found == [f"{owner}:{number}" for owner, number in wanted]
            assert len(key.holders) <= CAPS[name][0]


def test_places_in_lua_are_places_in_plain_lists(redis: RedisServer) -> None:
    class OnThis(Places):
        server = redis

    run_state_machine_as_test(OnThis, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))

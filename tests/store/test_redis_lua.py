"""The scripts that decide in a Redis server against arithmetic and against plain lists, in any order of asks and with a
clock that goes, stands still and jumps: what runs there is what is shipped, but for where it reads the time.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.state import bucket
from gateway.state.bucket import FULL, Rate
from gateway.state.redis_words import Script
from tests.kit.redis_nodes import at_told_times_text
from tests.kit.redis_server import RedisServer

EPOCH = 1_767_225_600  # as in decide.lua
START = 1_800_000_000.0
prefixes = itertools.count()


class Asker:
    """Asks the scripts as any of several owners, at any time."""

    def __init__(self, server: RedisServer) -> None:
        self.redis = server.client()
        self.prefix = f"lua{next(prefixes)}"
        self._decide, self._node = (Script(name, at_told_times_text) for name in ("decide", "node"))
        for script in (self._decide, self._node):
            self.redis.script_load(script.text)
        self.time = 0.0
        self.at(START)

    def at(self, seconds: float) -> None:
        whole, micro = divmod(round(seconds * 1_000_000), 1_000_000)
        self.redis.delete(f"{self.prefix}:time")
        self.redis.rpush(f"{self.prefix}:time", whole, micro)
        self.time = (whole - EPOCH) + micro / 1e6

    def node(self, owner: str, verb: str, *more: str) -> Any:
        return self.redis.evalsha(self._node.digest, 1, self.prefix, owner, verb, *more)

    def join(self, owner: str) -> None:
        self.node(owner, "join", "0", "1000", "30")

    def ask(self, owner: str, *asks: Sequence[Any]) -> list[Any]:
        """The answers to those of them that take something."""
        answers, errors = orjson.loads(
            self.redis.evalsha(self._decide.digest, 1, self.prefix, owner, orjson.dumps(asks))
        )
        assert not errors
        return answers or []

    def take(self, owner: str, number: int, tokens: Sequence[Any] = (), places: Sequence[Any] = ()) -> Any:
        (answer,) = self.ask(owner, ("take", number, "call", 0, True, tokens, places))
        return answer


RATES = [Rate(0.001, 1), Rate(1 / 3, 3), Rate(1.0, 1), Rate(60 / 7, 20), Rate(3600.0, 2), Rate(0.01, 1000)]
STEPS = st.sampled_from([0.0, 0.000001, 0.0009, 0.001, 0.3333, 1.0, 7.5, 3600.0, -3600.0, -0.5, -10.0])


@settings(max_examples=150)
@given(
    rate=st.sampled_from(RATES) | st.builds(Rate, st.floats(0.0005, 5000.0), st.integers(1, 50)),
    moves=st.lists(st.tuples(STEPS, st.sampled_from(["take", "take", "take", "refund"])), max_size=25),
)
def test_a_bucket_in_lua_is_a_bucket_in_python(redis: RedisServer, rate: Rate, moves: list[tuple[float, str]]) -> None:
    asker = Asker(redis)
    asker.join("n.1")
    now, full_at = START, FULL
    for step, move in moves:
        now += step
        asker.at(now)
        at = asker.time
        if move == "refund":
            asker.ask("n.1", ("refund", "b", rate.interval, rate.burst))
            if full_at > at:
                full_at = bucket.give_back(full_at, rate, at)
                full_at = full_at if full_at > at else FULL  # which is forgotten, whatever the clock does then
            continue
        answer = asker.take("n.1", 0, [("b", rate.interval, rate.burst)])
        after = bucket.take(full_at, rate, at)
        assert (answer[0] == 1) is (after is not None)
        if after is not None:
            full_at = after
            assert answer[1] == [pytest.approx(full_at - at, rel=1e-12, abs=1e-9)]
        else:
            full_at = bucket.bound(full_at, rate, at)
            assert answer[1] == 1
            assert answer[2:] == pytest.approx([bucket.wait(full_at, rate, at), full_at - at], rel=1e-12, abs=1e-9)


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
            found.append((name, most, line, f"{name}-{who}" if evict else "", 0))
        return found

    def model(self, me: tuple[str, int], names: Sequence[str]) -> Any:
        """What should be answered, and what should become of it."""
        victims: dict[str, tuple[str, int] | None] = {}
        for at, name in enumerate(names, 1):
            most, line, evict = CAPS[name]
            key = self.keys[name]
            if len(key.holders) + self.ahead(key, me, line) >= most:
                key.holders = [each for each in key.holders if each[0] not in self.buried]
                key.line = [each for each in key.line if each[0] not in self.buried]
            if len(key.holders) + self.ahead(key, me, line) < most:
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
        return [1, [], [f"{one[0]}:{one[1]}" for one in victims.values() if one is not None]]

    def ahead(self, key: Key, me: tuple[str, int], line: int) -> int:
        if not line:
            return 0
        return key.line.index(me) if me in key.line else len(key.line)

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
        marks = [(name, who, line) for name, _, line, who, _ in self.places(self.has[me], self.who[me])]
        for _ in range(1 + again):
            self.asker.ask(me[0], ("release", me[1], marks))
        for key in self.keys.values():
            key.holders = [each for each in key.holders if each != me]
        del self.has[me]

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        mine = [each for each in self.waits if each[0] in self.alive]
        if mine:
            me = data.draw(st.sampled_from(mine))
            name = self.waits.pop(me)
            self.asker.ask(me[0], ("leave", me[1], name))
            self.keys[name].line.remove(me)

    @precondition(lambda self: len(self.alive) > 1)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.alive))
        self.alive.remove(owner)
        self.buried.add(owner)
        self.asker.node(owner, "leave")
        assert self.asker.redis.evalsha(self.asker._decide.digest, 1, self.asker.prefix, owner, "[]") == "unknown"

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


def test_nothing_is_kept_for_ever_and_nothing_has_a_name(redis: RedisServer) -> None:
    asker = Asker(redis)
    asker.join("a.1")
    asker.join("b.1")
    asker.take("a.1", 1, [("t", 1.0, 3)], [("p", 1, 2, "", 0)])
    asker.take("b.1", 1, [("t", 1.0, 3)], [("p", 1, 2, "", 0)])
    asker.take("a.1", 2, (), [("q", 1, 0, "alice", 30)])
    asker.take("b.1", 2, (), [("q", 1, 0, "bob", 30)])
    asker.node("b.1", "leave")
    asker.take("a.1", 3, (), [("q", 1, 0, "carol", 30)])
    kept = [key for key in redis.keys(asker.prefix) if not key.endswith(":time")]
    assert {key.split(":")[1] for key in kept} == {"nodes", "graves", "m", "b", "l", "e", "w", "x"}
    assert not [key for key in kept if not 0 < int(redis.ask("TTL", key)) <= 86_400]


def test_a_wrong_key_is_the_trouble_of_those_it_counts(redis: RedisServer) -> None:
    asker = Asker(redis)
    asker.join("a.1")
    for kind in "blw":
        redis.ask("HSET", f"{asker.prefix}:{kind}:bad", "somebody", "else")
        place, tokens = [("bad", 1, 1, "", 0)], [("bad", 1.0, 3)]
        asks = [("take", 1, "", 0, False, tokens if kind == "b" else (), place if kind != "b" else ()),
                ("take", 2, "", 0, False, [("good", 1.0, 3)], [("good", 1, 0, "", 0)])]  # fmt: skip
        raw = asker.redis.evalsha(asker._decide.digest, 1, asker.prefix, "a.1", orjson.dumps(asks))
        answers, errors = orjson.loads(raw)
        assert answers[0][0] == -1 and len(errors) == 1 and "WRONGTYPE" in errors[0]
        assert answers[1][0] == 1
        asker.ask("a.1", ("release", 2, [("good", "", 0)]))
        redis.ask("DEL", f"{asker.prefix}:{kind}:bad")


def test_what_is_claimed_keeps_its_age_and_a_lease_that_is_nobodys_any_more_is_gone(redis: RedisServer) -> None:
    asker = Asker(redis)
    for owner in ("a.1", "b.1"):
        asker.join(owner)
    place = [("p", 3, 0, "alice", 0)]
    assert asker.take("a.1", 1, (), place)[0] == asker.take("b.1", 1, (), place)[0] == 1
    assert asker.take("a.1", 2, (), place)[0] == 1  # which a.2 never heard of
    asker.join("a.2")
    asker.ask("a.2", ("claim", 1, ["a.1"], [("p", "alice", 0)]))
    asker.node("a.1", "leave")
    assert asker.redis.zrange(f"{asker.prefix}:l:p", 0, -1) == ["a.2:1", "b.1:1", "a.1:2"]
    assert asker.take("b.1", 2, (), place)[0] == 1
    assert asker.redis.zrange(f"{asker.prefix}:l:p", 0, -1) == ["a.2:1", "b.1:1", "b.1:2"]
    assert asker.take("b.1", 3, (), place) == [1, {}, ["a.2:1"]]

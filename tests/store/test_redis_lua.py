"""The scripts that decide in a Redis server against arithmetic and against plain lists, in any order of asks and with a
clock that goes, stands still and jumps: what runs there is what is shipped, but for where it reads the time.
"""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.state import bucket
from gateway.state.bucket import FULL, Rate
from tests.kit.redis_scripts import START, Asker
from tests.kit.redis_server import RedisServer

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
            full_at = bucket.bound(full_at, rate, at)
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


def test_a_clock_that_goes_back_costs_no_more_than_one_filling_of_a_bucket(redis: RedisServer) -> None:
    """Whatever was asked before: an empty bucket gives again after one token's time, one that is given back counts."""
    asker, tokens = Asker(redis), [("t", 2.0, 5)]
    asker.join("n.1")
    for _ in range(5):
        assert asker.take("n.1", 0, tokens)[0] == 1
    asker.at(START - 3600.0)
    asker.ask("n.1", ("refund", *tokens[0]))
    assert asker.take("n.1", 0, tokens)[0] == 1
    assert asker.take("n.1", 0, tokens)[:3] == [0, 1, pytest.approx(2.0, abs=1e-3)]
    asker.at(START - 3600.0 + 10.0)
    assert [asker.take("n.1", 0, tokens)[0] for _ in range(6)] == [1] * 5 + [0]


def test_a_clock_that_goes_back_bars_nobody_for_longer_than_he_is_told(redis: RedisServer) -> None:
    asker = Asker(redis)
    asker.join("n.1")

    def answer(number: int, who: str) -> object:
        return asker.take("n.1", number, (), [("p", 1, 0, who, 30, True)])[0]

    assert [answer(1, "alice"), answer(2, "bob"), answer(3, "alice")] == [1, 1, 2]
    for seconds, wanted in ((-3600.0, 2), (-3571.0, 2), (-3569.0, 1)):
        asker.at(START + seconds)
        assert answer(4, "alice") == wanted


def test_nothing_is_kept_for_ever_and_nothing_has_a_name(redis: RedisServer) -> None:
    asker = Asker(redis)
    asker.join("a.1")
    asker.join("b.1")
    asker.take("a.1", 1, [("t", 1.0, 3)], [("p", 1, 2, "", 0, False)])
    asker.take("b.1", 1, [("t", 1.0, 3)], [("p", 1, 2, "", 0, False)])
    asker.take("a.1", 2, (), [("q", 1, 0, "alice", 30, True)])
    asker.take("b.1", 2, (), [("q", 1, 0, "bob", 30, True)])
    asker.node("b.1", "leave")
    asker.take("a.1", 3, (), [("q", 1, 0, "carol", 30, True)])
    kept = [key for key in redis.keys(asker.prefix) if not key.endswith(":time")]
    assert {key.split(":")[1] for key in kept} == {"nodes", "graves", "m", "b", "l", "e", "w", "x"}
    assert not [key for key in kept if not 0 < int(redis.ask("TTL", key)) <= 86_400]


def test_a_wrong_key_is_the_trouble_of_those_it_counts(redis: RedisServer) -> None:
    asker = Asker(redis)
    asker.join("a.1")
    for kind in "blw":
        redis.ask("HSET", f"{asker.prefix}:{kind}:bad", "somebody", "else")
        place, tokens = [("bad", 1, 1, "", 0, False)], [("bad", 1.0, 3)]
        asks = [("take", 1, "", 0, False, tokens if kind == "b" else (), place if kind != "b" else ()),
                ("take", 2, "", 0, False, [("good", 1.0, 3)], [("good", 1, 0, "", 0, False)])]  # fmt: skip
        raw = asker.redis.evalsha(asker._decide.digest, 1, f"{asker.prefix}:nodes", "a.1", orjson.dumps(asks))
        answers, errors = orjson.loads(raw)
        assert answers[0][0] == -1 and len(errors) == 1 and "WRONGTYPE" in errors[0]
        assert answers[1][0] == 1
        asker.ask("a.1", ("release", 2, [("good", "", 0)]))
        redis.ask("DEL", f"{asker.prefix}:{kind}:bad")


def test_what_is_claimed_keeps_its_age_and_a_lease_that_is_nobodys_any_more_is_gone(redis: RedisServer) -> None:
    asker = Asker(redis)
    for owner in ("a.1", "b.1"):
        asker.join(owner)
    place = [("p", 3, 0, "alice", 0, True)]
    assert asker.take("a.1", 1, (), place)[0] == asker.take("b.1", 1, (), place)[0] == 1
    assert asker.take("a.1", 2, (), place)[0] == 1  # which a.2 never heard of
    asker.join("a.2")
    asker.ask("a.2", ("claim", 1, ["a.1"], [("p", "alice", 0)]))
    asker.node("a.1", "leave")
    assert asker.redis.zrange(f"{asker.prefix}:l:p", 0, -1) == ["a.2:1", "b.1:1", "a.1:2"]
    assert asker.take("b.1", 2, (), place)[0] == 1
    assert asker.redis.zrange(f"{asker.prefix}:l:p", 0, -1) == ["a.2:1", "b.1:1", "b.1:2"]
    assert asker.take("b.1", 3, (), place) == [1, {}, ["a.2:1"]]

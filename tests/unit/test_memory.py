"""What earlier answers teach: to whom, how long, how much of it, and what is not believed."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.head import RequestHead, ResponseHead
from gateway.holds.budget import LONGEST
from gateway.holds.places import compile_place
from gateway.holds.plan import SessionPlan
from gateway.holds.predicate import compile_when
from gateway.identity.claims import Identity
from gateway.memory import LONGEST_TEXT, Memory
from gateway.plan import Plan
from gateway.upstream.balance import Upstream
from tests.kit.calls import call_of, head_of
from tests.kit.heads import response
from tests.kit.holds import hold_plan
from tests.kit.plans import plan_of

KEEP = 100.0


def number(body: bytes) -> float | None:
    """The second word of a body."""
    words = body.split()
    return float(words[1]) if len(words) > 1 else None


SESSION = SessionPlan(
    key=compile_place("query:sid"),
    when=compile_when(["query:sid absent"]),
    id=lambda head, body: body.split()[0].decode() if body.split() else None,
    hold=lambda head, body: number(body),
    keep=KEEP,
)


def plan(up: str = "up", **changes: Any) -> Plan:
    return plan_of(Upstream(up), hold=hold_plan(**({"session": SESSION} | changes)))


PLAN = plan()


def poll(sid: str) -> RequestHead:
    made = head_of("/updates")
    made.query = f"sid={sid}"
    return made


def known(memory: Memory, sid: str, now: float = 0.0, of: Plan = PLAN) -> float | None:
    found = memory.of_session(of, poll(sid), now)
    return found.hold if found is not None else None


def taught(*lessons: bytes, now: float = 0.0, most: int = 100) -> Memory:
    memory = Memory(most)
    for body in lessons:
        memory.learn(PLAN, response(200, {}, len(body)), body, now)
    return memory


def test_a_session_keeps_the_hold_its_handshake_said() -> None:
    memory = taught(b"a 25", b"b 50")
    assert [known(memory, sid) for sid in ("a", "b", "c", "")] == [25.0, 50.0, None, None]


def test_what_is_said_last_counts() -> None:
    assert known(taught(b"a 25", b"a 5"), "a") == 5.0


@pytest.mark.parametrize("hold", [b"nan", b"inf", b"-1", b"-inf", b"1e9", b"%d" % (LONGEST + 1), b""])
def test_a_hold_that_cannot_be_meant_is_not_known(hold: bytes) -> None:
    assert known(taught(b"a " + hold), "a") is None


@pytest.mark.parametrize("hold", [0.0, LONGEST])
def test_the_least_and_the_most_are_believed(hold: float) -> None:
    assert known(taught(b"a %f" % hold), "a") == hold


@pytest.mark.parametrize(("status", "headers"), [(500, {}), (400, {}), (200, {"Content-Encoding": "gzip"})])
def test_errors_and_encoded_answers_teach_nothing(status: int, headers: dict[str, str]) -> None:
    memory = Memory()
    memory.learn(PLAN, response(status, headers), b"a 25", 0.0)
    assert len(memory) == 0


def test_a_session_is_forgotten_that_nobody_uses() -> None:
    memory = taught(b"a 25")
    assert known(memory, "a", KEEP - 1) == 25.0
    assert known(memory, "a", 2 * KEEP - 2) == 25.0  # for it was used meanwhile
    assert known(memory, "a", 3 * KEEP) is None
    assert len(memory) == 0


def test_of_too_many_sessions_the_longest_unused_goes() -> None:
    memory = taught(b"a 1", b"b 2", b"c 3", most=3)
    assert known(memory, "a") == 1.0
    memory.learn(PLAN, response(200, {}), b"d 4", 0.0)
    assert [known(memory, sid) for sid in "abcd"] == [1.0, None, 3.0, 4.0]


def test_upstreams_and_dialects_do_not_teach_each_other() -> None:
    memory = taught(b"a 25")
    assert known(memory, "a", of=plan("other")) is None
    assert known(memory, "a", of=plan(dialect="other")) is None
    assert known(memory, "a", of=plan()) == 25.0  # after a reload


@given(st.text(max_size=300), st.text(max_size=300))
def test_no_other_key_reads_what_one_was_taught(one: str, other: str) -> None:
    session = replace(SESSION, key=lambda head: head.query, id=lambda head, body: one)
    of = plan(session=session)
    memory = Memory()
    memory.learn(of, response(200, {}), b"x 25", 0.0)
    asking = head_of("/updates")
    asking.query = other
    assert (memory.of_session(of, asking, 0.0) is not None) == (one == other != "")


@pytest.mark.parametrize("length", [LONGEST_TEXT, LONGEST_TEXT + 1, 100_000])
def test_long_keys_are_told_apart_at_their_end(length: int) -> None:
    sid = "x" * (length - 1)
    memory = taught(b"%s1 25" % sid.encode(), b"%s2 50" % sid.encode())
    assert [known(memory, f"{sid}{last}") for last in "123"] == [25.0, 50.0, None]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.floats(0, 50)), max_size=200),
    st.integers(1, 10),
)
def test_it_is_a_bounded_memory_of_what_was_taught_last(steps: list[tuple[bool, int, float]], most: int) -> None:
    memory, now = Memory(most), 0.0
    model: dict[int, tuple[float, float]] = {}  # sid -> hold, until; in the order of use
    for teach, sid, gap in steps:
        now += gap
        if teach:
            memory.learn(PLAN, response(200, {}), b"%d %d" % (sid, sid), now)
            model.pop(sid, None)
            model[sid] = (sid, now + KEEP)
            if len(model) > most:
                del model[next(iter(model))]
        else:
            hold, until = model.get(sid, (0.0, 0.0))
            fresh = until > now
            assert known(memory, str(sid), now) == (hold if fresh else None)
            model.pop(sid, None)
            if fresh:
                model[sid] = (hold, now + KEEP)
        model = {sid: kept for sid, kept in model.items() if kept[1] > now}
        assert len(memory) <= most


def test_made_up_keys_cost_nothing() -> None:
    memory = taught(b"a 25")
    tracemalloc.start()
    for sid in range(100_000):
        assert known(memory, f"made-up-{sid}") is None
    assert tracemalloc.get_traced_memory()[0] < 1_000_000
    tracemalloc.stop()
    assert len(memory) == 1


def test_a_flood_of_sessions_leaves_the_newest_and_no_more() -> None:
    memory = Memory(1000)
    for sid in range(20_000):
        memory.learn(PLAN, response(200, {}), b"%d 25" % sid, sid / 1e4)
    assert len(memory) == 1000
    assert known(memory, "19999", 2.0) == 25.0 and known(memory, "0", 2.0) is None


# -- header fields ---------------------------------------------------------------------------------------------------

LAST = plan(session=None, last=("stream-cursor", "etag"))


def answered(memory: Memory, now: float = 0.0, who: str = "192.0.2.7", path: str = "/updates", **headers: str) -> None:
    memory.notice(LAST, caller(who, path), fields(headers), now)


def caller(who: str, path: str = "/updates") -> Any:
    return call_of(head_of(path), who)


def fields(headers: dict[str, str]) -> ResponseHead:
    return response(200, {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_poller_has_the_fields_of_his_last_answers_on_that_path() -> None:
    memory = Memory()
    answered(memory, Stream_Cursor="1", ETag="x", Other="no")
    answered(memory, Stream_Cursor="2")
    assert memory.of_poller(LAST, caller("192.0.2.7"), 1.0) == {"stream-cursor": "2", "etag": "x"}
    assert memory.of_poller(LAST, caller("192.0.2.8"), 1.0) == {}
    assert memory.of_poller(LAST, caller("192.0.2.7", "/other"), 1.0) == {}
    assert memory.of_poller(replace(LAST, upstream=Upstream("other")), caller("192.0.2.7"), 1.0) == {}


def test_the_last_answer_to_a_poller_is_known_for_an_hour_since_anybody_asked() -> None:
    memory = Memory()
    answered(memory, Stream_Cursor="1")
    for now in (3599.0, 7198.0):
        assert memory.of_poller(LAST, caller("192.0.2.7"), now) == {"stream-cursor": "1"}
    assert memory.of_poller(LAST, caller("192.0.2.7"), 7198.0 + 3600.0) == {}


def test_a_consumer_who_is_called_like_an_address_is_another() -> None:
    memory = Memory()
    answered(memory, Stream_Cursor="1")
    signed = caller("198.51.100.1")
    signed.identity = Identity("p", "192.0.2.7")
    assert memory.of_poller(LAST, signed, 0.0) == {}


def test_a_value_too_long_to_keep_makes_the_old_one_unknown() -> None:
    memory = Memory()
    answered(memory, Stream_Cursor="1", ETag="x")
    answered(memory, Stream_Cursor="2" * (LONGEST_TEXT + 1))
    assert memory.of_poller(LAST, caller("192.0.2.7"), 0.0) == {"etag": "x"}


def test_an_error_says_nothing_about_where_a_poller_is() -> None:
    memory = Memory()
    memory.notice(LAST, caller("192.0.2.7"), response(404, {"Stream-Cursor": "1"}), 0.0)
    answered(memory)
    assert len(memory) == 0


def test_pollers_and_paths_are_bounded_too() -> None:
    memory = Memory(10)
    for at in range(100):
        answered(memory, path=f"/{at}", Stream_Cursor="1")
    assert len(memory) == 10

"""Who decides which endpoints take calls: for how long one is ejected, that nothing is kept of members that are gone,
and what a reload changes.
"""

from __future__ import annotations

import gc

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER, TICK
from gateway.outcome import Outcome
from gateway.upstream.balance import Upstream
from gateway.upstream.ejection import Ejection
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.health import Health
from gateway.upstream.standing import EJECTION
from tests.kit.watched import EJECTS, PROBES, Watched

# -- ejection ----------------------------------------------------------------------------------------------------------


def test_an_ejection_ends_by_itself() -> None:
    seen = Watched()
    seen.strike(seen[0])
    assert seen.out() == ["h0"] and seen.upstream.choice == (seen[1],)
    seen.loop.advance(29.9)
    assert seen.out() == ["h0"]
    seen.loop.advance(0.1 + 2 * TICK)
    assert seen.out() == [] and seen.kinds == ["eject", "restore"]
    assert seen[0].standing.until == NEVER and len(seen[0].standing.strikes) == 0


def test_ejections_in_a_row_last_longer_and_one_that_held_out_begins_anew() -> None:
    seen = Watched()
    for lasts, times in ((30.0, 1), (60.0, 2), (120.0, 3)):
        seen.strike(seen[0])
        assert (seen.events[-1].lasts, seen.events[-1].times) == (lasts, times)
        seen.loop.advance(lasts + 1.0)
        assert seen.out() == []
    seen.loop.advance(121.0)
    seen.strike(seen[0])
    assert (seen.events[-1].lasts, seen.events[-1].times) == (30.0, 1)


def test_calls_that_fail_while_it_is_out_are_not_held_against_it() -> None:
    seen = Watched()
    seen.strike(seen[0])
    seen.strike(seen[0], 20)
    seen.loop.advance(31.0)
    seen.strike(seen[0], 1)
    assert seen.kinds == ["eject", "restore"] and seen.out() == []


def test_two_that_are_out_come_back_each_at_its_time() -> None:
    seen = Watched(4)
    seen.strike(seen[0])
    seen.loop.advance(10.0)
    seen.strike(seen[1])
    seen.loop.advance(20.2)
    assert seen.out() == ["h1"]
    seen.loop.advance(10.2)
    assert seen.out() == []


def test_a_member_that_is_gone_is_struck_no_more() -> None:
    seen = Watched(3)
    gone = seen[2]
    seen.upstream.become(seen.upstream.endpoints[:2])
    seen.strike(gone, 9)
    assert seen.events == []


def test_with_one_member_nobody_is_told_and_with_two_somebody_is() -> None:
    seen = Watched(1)
    assert seen.upstream.watch is None
    seen.upstream.become((*seen.upstream.endpoints, Endpoint(seen.upstream, "h1", 80)))
    assert seen.upstream.watch is not None
    seen.strike(seen[1])
    assert seen.out() == ["h1"]
    seen.upstream.become(seen.upstream.endpoints[:1])
    assert seen.upstream.watch is None


def test_nothing_is_kept_of_members_that_come_and_go() -> None:
    seen = Watched(3, probes=PROBES)
    stay = seen.upstream.endpoints
    for number in range(50):
        seen.upstream.become((*stay, Endpoint(seen.upstream, f"new{number}", 80)))
        seen.loop.advance(6.0)
        seen.strike(seen[3])
        seen.find(seen[3], False)
        assert seen.out() == [f"new{number}"]
    seen.upstream.become(stay)
    assert seen.upstream.leaving == ()
    seen.probed.clear()
    gc.collect()
    there = [each for each in gc.get_objects() if isinstance(each, Endpoint) and each.upstream is seen.upstream]
    assert len(there) == 3
    seen.loop.advance(100.0)
    assert len(seen.loop.handles) == 1 and seen.loop.errors == []


def test_one_that_was_away_when_its_ejection_ended_is_in_when_it_is_back() -> None:
    """Drained by an operator, or gone from a name for a while: with a call it still carries it is the same endpoint."""
    seen = Watched(3)
    first, *others = seen.upstream.endpoints
    seen.strike(first)
    first.open = 1
    seen.upstream.become(others)
    seen.loop.advance(31.0)
    seen.upstream.become((Endpoint(seen.upstream, "h0", 80), *others))
    seen.watcher.renew()  # whoever changes members has those that are there now looked after
    seen.loop.advance(2 * TICK)
    assert seen[0] is first and seen.out() == [] and seen.kinds == ["eject", "restore"]


def test_an_upstream_that_is_no_more_has_no_clock() -> None:
    seen = Watched(probes=PROBES)
    seen.strike(seen[0])
    seen.watcher.end()
    seen.loop.advance(100.0)
    assert seen.probed == [] and seen.upstream.watch is None


# -- a reload ----------------------------------------------------------------------------------------------------------


def renewed(seen: Watched, ejects: Ejection | None, probes: Health | None) -> None:
    fresh = Upstream("up")
    fresh.ejection, fresh.health = ejects, probes
    fresh.endpoints = tuple(Endpoint(fresh, each.host, 80) for each in seen.upstream.endpoints)
    seen.upstream.adopt(fresh)
    seen.watcher.renew()


def test_what_stays_in_the_configuration_goes_on() -> None:
    seen = Watched(probes=PROBES)
    seen.strike(seen[0])
    seen.strike(seen[1], 1)
    seen.find(seen[1], False, False)
    seen.loop.advance(10.0)
    renewed(seen, EJECTS, PROBES)
    assert seen.out() == ["h0"] and len(seen[1].standing.strikes) == 1
    seen.find(seen[1], False)
    assert seen.out() == ["h0", "h1"]
    seen.loop.advance(20.2)
    assert seen[0].out == frozenset()


def test_what_is_turned_off_takes_nobody_out_any_more() -> None:
    seen = Watched(4, probes=PROBES)
    seen.strike(seen[0])
    seen.find(seen[1], False, False, False)
    renewed(seen, None, PROBES)
    assert seen.out() == ["h1"] and seen.upstream.watch is None
    renewed(seen, None, None)
    assert seen.out() == [] and seen.kinds == ["eject", "probe", "restore", "restore"]
    seen.probed.clear()
    seen.loop.advance(60.0)
    assert seen.probed == [] and seen.loop.handles == []


def test_a_shorter_interval_counts_at_once() -> None:
    seen = Watched(probes=Health("/", interval=600.0))
    seen.loop.advance(1.0)
    renewed(seen, EJECTS, Health("/", interval=2.0))
    seen.loop.advance(2.2)
    assert {which for which, _ in seen.probed} == set(seen.upstream.endpoints)


@given(st.lists(st.tuples(st.sampled_from(["strike", "good", "bad", "answer", "wait", "leave", "join"]),
                          st.integers(0, 5)), max_size=60))  # fmt: skip
def test_whatever_happens_somebody_takes_calls_and_the_log_agrees(moves: list[tuple[str, int]]) -> None:
    seen = Watched(4, probes=PROBES)
    for number, (move, at) in enumerate(moves):
        endpoint = seen[at % len(seen.upstream.endpoints)]
        match move:
            case "strike":
                seen.strike(endpoint)
            case "good" | "bad":
                seen.find(endpoint, *[move == "good"] * 3)
            case "answer":
                seen.upstream.told(endpoint, Outcome.ANSWERED, 200, seen.loop.now)
            case "wait":
                seen.loop.advance(7.0 * at)
            case "leave" if len(seen.upstream.endpoints) > 1:
                seen.upstream.become(each for each in seen.upstream.endpoints if each is not endpoint)
            case "join":
                seen.upstream.become((*seen.upstream.endpoints, Endpoint(seen.upstream, f"new{number}", 80)))
        members = seen.upstream.endpoints
        assert seen.upstream.choice and seen.upstream.pick() in members
        assert set(seen.upstream.choice) == {each for each in members if not each.out} or all(e.out for e in members)
        for each in members:
            events = each.standing.events
            assert events["restore"] <= events["eject"] + events["probe"]
            assert bool(each.out) == (events["eject"] + events["probe"] > events["restore"]) or events["probe"]
            assert (EJECTION in each.out) == (each.standing.until != NEVER)
    assert seen.loop.errors == []

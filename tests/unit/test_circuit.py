"""When connecting is worth trying, as arithmetic: the circuit opens on connections that cannot be had, all of them and
in a row; while it is open one call at a time tries; and one connection closes it.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Call
from gateway.demands import release
from gateway.upstream.balance import Upstream
from gateway.upstream.circuit import AGAIN, FAILURES, WITHIN, Circuit
from gateway.upstream.endpoint import Endpoint
from tests.kit.calls import call_of, head_of

A, B, C = (Endpoint(Upstream("up"), name, 80) for name in "abc")


def call() -> Call:
    return call_of(head_of("/"))


def opened(*endpoints: Endpoint) -> Circuit:
    """At second 0."""
    circuit = Circuit()
    rounds = [circuit.refused(each, endpoints, 0.0) for _ in range(FAILURES) for each in endpoints]
    assert rounds.count(True) == 1 and circuit.state == "open"
    return circuit


@pytest.mark.parametrize("failures", range(FAILURES + 1))
def test_it_opens_after_so_many_failures_in_a_row(failures: int) -> None:
    circuit = Circuit()
    for _ in range(failures):
        circuit.refused(A, [A], 0.0)
    assert (circuit.since is not None) is (failures >= FAILURES) is not circuit.lets(call(), 0.0)


def test_it_stays_closed_while_one_endpoint_was_not_tried() -> None:
    circuit = Circuit()
    for _ in range(50):
        assert not circuit.refused(A, [A, B], 0.0)
    assert circuit.refused(B, [A, B], 0.0)


def test_an_endpoint_that_takes_no_calls_need_not_refuse() -> None:
    circuit = Circuit()
    assert any(circuit.refused(A, [A], 0.0) for _ in range(FAILURES))


def test_one_connection_ends_the_row() -> None:
    circuit = Circuit()
    for _ in range(100):
        for endpoint in (A, B):
            circuit.refused(endpoint, [A, B, C], 0.0)
        assert circuit.connected(0.0) is None
    assert circuit.opened == 0


def test_failures_long_apart_are_no_row() -> None:
    circuit = Circuit()
    assert not any(circuit.refused(A, [A], number * (WITHIN + 1)) for number in range(100))


def test_one_at_a_time_tries_and_the_others_are_told_at_once() -> None:
    circuit = opened(A)
    assert not circuit.lets(call(), AGAIN * 0.9)
    first, second = call(), call()
    assert circuit.lets(first, AGAIN) and circuit.state == "half-open"
    assert not circuit.lets(second, AGAIN) and circuit.lets(first, AGAIN), "it may try the next endpoint too"
    circuit.refused(A, [A], AGAIN)
    assert not circuit.lets(second, 9.0), "the one that tries is not over yet"
    release(first)
    assert not circuit.lets(second, 1.5 * AGAIN) and circuit.lets(second, 2 * AGAIN)
    assert circuit.refusals == 4


def test_one_that_left_while_it_tried_makes_room_at_once() -> None:
    circuit, first = opened(A), call()
    assert circuit.lets(first, 1.0)
    release(first)
    assert circuit.lets(call(), 1.0)


def test_when_other_endpoints_take_calls_the_next_call_tries_at_once() -> None:
    upstream = Upstream("up")
    upstream.endpoints = (A, B)
    for _ in range(FAILURES):
        for endpoint in (A, B):
            upstream.circuit.refused(endpoint, upstream.choice, 5.0)
    assert not upstream.circuit.lets(call(), 5.0)
    upstream.become([C])
    assert upstream.circuit.lets(call(), 5.0)


def test_a_connection_closes_it_and_says_how_long_it_was_open() -> None:
    circuit, tester = opened(A, B), call()
    assert circuit.lets(tester, 4.0) and circuit.connected(5.0) == 5.0
    assert circuit.state == "closed" and circuit.lets(call(), 5.0) and circuit.connected(5.0) is None
    for _ in range(FAILURES):
        circuit.refused(A, [A], 6.0)
    other = call()
    assert circuit.lets(other, 7.0)
    release(tester)
    assert circuit.state == "half-open", "who tried in the outage before has no say in this one"


def test_a_large_group_is_gone_round_in_the_same_time() -> None:
    many = [Endpoint(Upstream("up"), str(number), 80) for number in range(100)]
    circuit, tries, now = opened(*many), 0, 0.0
    while now < AGAIN:
        now += AGAIN / 1000
        tester = call()
        if circuit.lets(tester, now):
            tries += 1
            circuit.refused(many[0], many, now)
            release(tester)
    assert 80 <= tries <= 100


@given(st.lists(st.tuples(st.sampled_from(["refused", "connected", "lets", "over"]), st.floats(0.0, 2.0)), max_size=60))
def test_whatever_happens_one_tries_at_most_and_one_connection_is_enough(moves: list[tuple[str, float]]) -> None:
    circuit, now, trying = Circuit(), 0.0, cast("list[Any]", [])
    for move, pause in moves:
        now += pause
        if move == "refused":
            circuit.refused(A, [A], now)
        elif move == "connected":
            circuit.connected(now)
            assert circuit.since is None
            trying.clear()
        elif move == "over" and trying:
            release(trying.pop())
        else:
            one = call()
            if circuit.lets(one, now) and circuit.since is not None:
                trying.append(one)
        assert len(trying) <= 1
    for one in trying:
        release(one)
    assert circuit.lets(call(), now + 10.0)


def test_an_endpoint_that_left_says_nothing_of_those_that_are_there() -> None:
    circuit = Circuit()
    for _ in range(2 * FAILURES):
        assert not circuit.refused(A, [B], 0.0) and not circuit.refused(A, [], 0.0)
    assert not circuit.refused(B, [B], 0.0)

"""The circuit before a store elsewhere, as a table: what happens, and whether it is asked then."""

from __future__ import annotations

import pytest

from gateway.state.breaker import Breaker, Circuit

REST = 0.25


def after(*events: str) -> Breaker:
    """`wait` lets the rest pass; `fail`, `try` and `answer` are what happens."""
    breaker, now = Breaker(REST), 100.0
    for event in events:
        if event == "wait":
            now += REST
        elif event == "fail":
            breaker.failed(now)
        elif event == "try":
            breaker.tries(now)
        else:
            breaker.answered()
    return breaker


@pytest.mark.parametrize(
    ("events", "circuit"),
    [
        ((), Circuit.OPEN),
        (("try",), Circuit.HALF_OPEN),
        (("answer",), Circuit.OPEN),
        (("try", "answer"), Circuit.CLOSED),
        (("try", "answer", "fail"), Circuit.OPEN),
        (("try", "answer", "fail", "try"), Circuit.OPEN),
        (("try", "answer", "fail", "wait", "try"), Circuit.HALF_OPEN),
        (("try", "answer", "fail", "wait", "try", "try"), Circuit.HALF_OPEN),
        (("try", "answer", "fail", "wait", "fail", "try"), Circuit.OPEN),
        (("try", "fail", "answer"), Circuit.OPEN),
        (("try", "fail", "wait", "try", "answer"), Circuit.CLOSED),
        (("try", "answer", "try"), Circuit.CLOSED),
    ],
)
def test_the_circuit_opens_and_closes_as_it_should(events: tuple[str, ...], circuit: Circuit) -> None:
    breaker = after(*events)
    assert breaker.circuit is circuit and breaker.closed is (circuit is Circuit.CLOSED)


def test_only_one_probe_is_out_and_it_is_said_once_that_it_opened_and_closed() -> None:
    breaker = Breaker(REST)
    assert [breaker.tries(1.0), breaker.tries(1.0), breaker.tries(9.0)] == [True, False, False]
    assert [breaker.answered(), breaker.answered()] == [True, False]
    assert [breaker.failed(2.0), breaker.failed(2.1)] == [True, False]
    assert [breaker.tries(2.3), breaker.tries(2.36)] == [False, True], "it rests from the last failure on"

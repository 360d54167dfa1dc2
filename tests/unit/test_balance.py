"""Endpoints: what they are called, and on which of their idle connections a call goes; nothing stale."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import FRESH, Endpoint


@pytest.mark.parametrize(
    ("host", "port", "tls", "name"),
    [("a.b", 80, None, "a.b"), ("a.b", 5000, None, "a.b:5000"), ("a.b", 443, None, "a.b:443"), ("a.b", 443, object(),
     "a.b"),
     ("a.b", 80, object(), "a.b:80"), ("::1", 80, None, "[::1]"), ("::1", 81, None, "[::1]:81")],
)  # fmt: skip
def test_an_endpoint_is_named_as_host_names_it(host: str, port: int, tls: Any, name: str) -> None:
    assert Endpoint(Upstream("up"), host, port, tls=tls).name == name


class Idle:
    """An idle connection: since when, and whether its other side has hung up."""

    keepalive = 4.0

    def __init__(self, since: float, good: bool = True) -> None:
        self.idle_since = since
        self.good = good
        self.closed = False

    def alive(self) -> bool:
        return self.good

    def close(self) -> None:
        self.closed = True


def endpoint(*idle: Idle) -> Endpoint:
    made = Endpoint(Upstream("up"), "h", 80)
    made.idle.extend(cast(Any, idle))
    return made


def test_the_most_recently_used_connection_is_taken() -> None:
    old, young = Idle(1.0), Idle(2.0)
    made = endpoint(old, young)
    taken: list[Any] = [made.take_idle(2.0, False) for _ in range(3)]
    assert taken == [young, old, None]


def test_a_dead_connection_is_closed_and_passed_over() -> None:
    good, dead = Idle(1.0), Idle(2.0, good=False)
    made = endpoint(good, dead)
    assert made.take_idle(2.0, False) is cast(Any, good)
    assert dead.closed and not good.closed


@pytest.mark.parametrize(("age", "taken"), [(0.0, True), (FRESH, True), (FRESH + 0.01, False)])
def test_what_must_not_be_repeated_goes_out_on_a_young_connection_or_a_new_one(age: float, taken: bool) -> None:
    one = Idle(10.0)
    made = endpoint(one)
    assert (made.take_idle(10.0 + age, True) is cast(Any, one)) is taken
    assert not one.closed and (taken or list(made.idle) == [cast(Any, one)])
    assert taken or made.take_idle(10.0 + age, False) is cast(Any, one)


def test_a_connection_that_ended_is_neither_counted_nor_kept() -> None:
    busy, resting, other = Idle(1.0), Idle(1.0), Idle(1.0)
    made = endpoint(resting, other)
    made.open = 3
    made.lost(cast(Any, busy), idle=False)
    assert (made.open, len(made.idle)) == (2, 2)
    made.lost(cast(Any, resting), idle=True)
    assert (made.open, list(made.idle)) == (1, [cast(Any, other)])

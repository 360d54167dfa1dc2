"""The kind `rate_limit`: what a limit asks for, the screen before identity, and what clients are told."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.call import Call
from gateway.head import END
from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.policies.rate_limit import RateLimit, Screen, Shown, compile_rate_limit, limited
from gateway.state.bucket import Rate
from gateway.state.memory import MemoryStore
from gateway.state.store import Tokens
from tests.kit.stores import take

from .test_keys import caller

MINUTE = (60.0, 60.0)


def limit(
    rate: tuple[float, float] = MINUTE, burst: int | None = None, per: str = "consumer", **more: Any
) -> RateLimit:
    options: dict[str, Any] = {"name": "free", "limit": f"{per}.0", "when_claims": {}, "refund_empty": False} | more
    return compile_rate_limit(rate=rate, burst=burst, per=per, **options)


@pytest.mark.parametrize(
    ("rate", "burst", "expected", "told"),
    [
        (MINUTE, None, Rate(1.0, 60), (60, 60)),
        (MINUTE, 20, Rate(1.0, 20), (60, 60)),
        ((10.0, 1.0), None, Rate(0.1, 10), (10, 1)),
        ((0.5, 1.0), None, Rate(2.0, 1), (1, 2)),
        ((0.1, 60.0), 5, Rate(600.0, 5), (1, 600)),
        ((1000.0, 3600.0), None, Rate(3.6, 1000), (1000, 3600)),
    ],
)
def test_a_rate_becomes_a_bucket(
    rate: tuple[float, float], burst: int | None, expected: Rate, told: tuple[int, int]
) -> None:
    made = limit(rate, burst)
    assert (made.rate.interval, made.rate.burst) == (pytest.approx(expected.interval), expected.burst)
    assert (made.quota, made.window) == told


def test_a_limit_asks_for_one_token_of_whom_it_counts() -> None:
    made = limit()
    assert made.demand(caller("bob")) == Tokens("consumer.0", "bob", made.rate)
    assert limit(when_claims={"tier": ("gold",)}).demand(caller("bob")) is None


@pytest.mark.parametrize(
    ("per", "early"), [("address", True), ("route", True), ("consumer", False), ("claim:x", False)]
)
def test_who_needs_no_name_is_asked_early(per: str, early: bool) -> None:
    assert limit(per=per).early is early


def screened(limits: list[RateLimit], *calls: Call) -> tuple[list[object], MemoryStore]:
    store = MemoryStore()
    step = Screen(store, lambda: 100.0).step(limits)
    return [step(call) for call in calls], store


def test_a_screen_lets_through_what_the_rate_admits() -> None:
    verdicts, _ = screened([limit(burst=2, per="address")], caller(None), caller(None), caller(None))
    assert verdicts[:2] == [None, None]
    refused = verdicts[2]
    assert isinstance(refused, Refusal)
    assert (refused.outcome, refused.status, refused.slug) == (Outcome.RATE_LIMITED, 429, "rate_limited")


def test_a_screen_that_refuses_has_cost_its_other_limits_nothing() -> None:
    address, route = limit(burst=9, per="address"), limit(burst=1, per="route")
    verdicts, store = screened([address, route], *[caller(None)] * 4)
    assert [verdict is None for verdict in verdicts] == [True, False, False, False]
    demand = address.demand(caller(None))
    assert demand is not None and store.level(demand, 100.0).left == 8


@pytest.mark.parametrize(("known", "framing", "asked"), [
    (True, None, False), (True, "length", True), (True, "chunked", True), (False, None, True),
])  # fmt: skip
def test_a_screen_lets_past_only_who_is_known_and_has_no_body(known: bool, framing: str | None, asked: bool) -> None:
    call = caller(None)
    call.framing = framing
    step = Screen(MemoryStore(), lambda: 100.0).step([limit(per="address")], lambda _: known)
    assert step(call) is None
    assert bool(call.charges) is asked


@pytest.mark.parametrize("wait", [0.0, 0.001, 0.5, 1.0, 7.0, 59.5, 3600.0])
def test_nobody_is_told_to_come_back_too_soon_and_not_all_at_once(wait: float) -> None:
    found = {limited(wait).retry_after or 0 for _ in range(300)}
    assert min(found) >= max(wait, 1) and max(found) <= wait * 1.2 + 2
    assert wait < 0.5 or len(found) > 1


def fields_of(lines: bytes) -> dict[bytes, bytes]:
    assert lines == END or lines.endswith(b"\r\n" + END)
    return dict(line.split(b": ", 1) for line in lines.removesuffix(END).split(b"\r\n")[:-1])  # type: ignore[misc]


def told(limits: list[RateLimit], call: Call, used: int = 0) -> dict[bytes, bytes]:
    store = MemoryStore()
    for each in limits:
        demand = each.demand(call)
        for _ in range(used if demand is not None else 0):
            assert demand is not None
            take(store, (demand,), call, 100.0)
    charges = tuple(each.payer(call) for each in limits)
    before = fields_of(Shown(limits, store).lines(call, 100.0))
    if call.identity is not None:  # who got through is told the same of what was charged
        call.charges = charges
        assert fields_of(Shown(limits, store).lines(call, 100.0)) == before
    return before


def test_clients_are_told_their_limits_and_what_is_left() -> None:
    limits = [limit(burst=20), limit((1000.0, 86400.0), per="tenant", name="free-2")]
    assert told(limits, caller(), used=1) == {
        b"RateLimit-Policy": b'"free";q=60;w=60, "free-2";q=1000;w=86400',
        b"RateLimit": b'"free";r=19;t=1, "free-2";r=999;t=87',
    }


def test_a_full_bucket_has_nothing_to_wait_for() -> None:
    assert told([limit(burst=20)], caller())[b"RateLimit"] == b'"free";r=20;t=0'


def test_a_limit_for_others_is_not_mentioned() -> None:
    assert told([limit(when_claims={"tier": ("gold",)})], caller()) == {}


def test_who_was_not_identified_hears_only_of_limits_that_need_no_name() -> None:
    limits = [limit(signed=True), limit(per="address", signed=True, name="edge")]
    assert told(limits, caller(None))[b"RateLimit-Policy"] == b'"edge";q=60;w=60'
    assert told(limits, caller())[b"RateLimit-Policy"] == b'"free";q=60;w=60, "edge";q=60;w=60'
    assert told([limit()], caller(None))[b"RateLimit-Policy"] == b'"free";q=60;w=60'  # nobody signs in here

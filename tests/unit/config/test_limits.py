"""Limits and caps in a configuration: every line a person may read about them, what they count under, and what clients
will call them.
"""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.compile import compile_config
from gateway.config.merge import merge_route
from gateway.plan import Plan
from gateway.policies.rate_limit import RateLimit

from .kit import BASE, ENVIRON, ROUTE, checked, sound

HOLD = "[policy.poll.hold]\nabsent = '10s'\nmax = '10s'\nreplay = 'cursor'\nempty = { answer = 'template', headers = { Content-Type = 'application/json' }, body = '[]' }\n"
ROUTED = ROUTE.replace('["signed"]', '["signed", "poll", "p"]')
NOBODY = 'names nobody to count; write "consumer", "tenant", "route", "address", "claim:NAME" or "header:NAME"'


def written(kind: str, lines: str) -> str:
    return f"{BASE}{HOLD}{ROUTED}[[policy.p.{kind}]]\n{lines}\n"


@pytest.mark.parametrize(
    ("kind", "lines", "line"),
    [
        ("rate_limit", "", ': has no rate; write rate = "60/min"'),
        ("rate_limit", "burst = 3", ': has no rate; write rate = "60/min"'),
        ("rate_limit", "rate = '0/min'", '.rate: "0/min" admits nothing; write a rate above 0, such as "60/min"'),
        ("rate_limit", "rate = '-5/min'", '.rate: "-5/min" is not a rate; write a number per s, min, hour or day, such as "60/min"'),
        ("rate_limit", "rate = 'inf/s'", '.rate: "inf/s" is not a rate; write a number per s, min, hour or day, such as "60/min"'),
        ("rate_limit", "rate = 60", '.rate: is a number without a unit; write a rate in quotes, such as "60/min"'),
        ("rate_limit", "rate = '1000001/s'", ': limits nothing that happens; write a rate from "1000000/s" down to one a year'),
        ("rate_limit", "rate = '0.001/day'", ': limits nothing that happens; write a rate from "1000000/s" down to one a year'),
        ("rate_limit", "rate = '1/s'\nburst = 0", ".burst: must be at least 1; write 1"),
        ("rate_limit", f"rate = '1/s'\nburst = {10**17}", ".burst: must be at most 10000000; write 10000000"),
        ("rate_limit", "rate = '1/s'\nper = 'user'", f".per: {NOBODY}"),
        ("rate_limit", "rate = '1/s'\nper = 'claim:'", f".per: {NOBODY}"),
        ("rate_limit", "rate = '1/s'\nper = 'header:'", f".per: {NOBODY}"),
        ("rate_limit", "rate = '1/s'\nper = 'header:X Key'", f".per: {NOBODY}"),
        ("rate_limit", "rate = '1/s'\nmode = 'queue'", '.mode: is none of the values it can have; write "reject" or "delay"'),
        ("rate_limit", "rate = '1/s'\nrefund_empty = 1", ".refund_empty: is of the wrong kind; write true or false"),
        (
            "rate_limit",
            "rate = '1/s'\nper = 'address'\nwhen_claims = { tier = 'gold' }",
            ': per "address" is asked before anybody is known; write per = "consumer", or no when_claims',
        ),
        (
            "rate_limit",
            "rate = '1/s'\nper = 'route'\nwhen_claims = { tier = 'gold' }",
            ': per "route" is asked before anybody is known; write per = "consumer", or no when_claims',
        ),
        ("hold_cap", "", ": has no number; write max = 3"),
        ("hold_cap", "max = 0", ".max: must be at least 1; write 1"),
        ("hold_cap", "max = -1", ".max: must be at least 1; write 1"),
        ("hold_cap", f"max = {10**30}", ".max: must be at most 10000000; write 10000000"),
        ("hold_cap", "max = 1.5", ".max: is of the wrong kind; write a whole number, such as max = 3"),
        ("hold_cap", "max = 1\nmax_waiting = 10", ': lets nobody wait; write on_excess = "wait", or no max_waiting'),
        ("hold_cap", "max = 1\non_excess = 'wait'\nmax_waiting = 0", ".max_waiting: must be at least 1; write 1"),
        ("hold_cap", "max = 1\nevict_grace = 30", '.evict_grace: is a number without a unit; write a duration in quotes, such as "25s"'),
        ("concurrency_cap", "", ": has no number; write max = 3"),
        ("concurrency_cap", "max = 0", ".max: must be at least 1; write 1"),
        ("concurrency_cap", "max = 1\nmax_waiting = 10", ': lets nobody wait; write on_excess = "wait", or no max_waiting'),
    ],
)  # fmt: skip
def test_a_wrong_limit_is_one_line_with_a_remedy(tmp_path: Path, kind: str, lines: str, line: str) -> None:
    assert checked(tmp_path, written(kind, lines)).problems == [f"gateway.toml: policy.p.{kind}[0]{line}"]


def test_ordinary_calls_cannot_be_evicted(tmp_path: Path) -> None:
    (problem,) = checked(tmp_path, written("concurrency_cap", "max = 1\non_excess = 'evict-oldest'")).problems
    assert (
        problem
        == 'gateway.toml: policy.p.concurrency_cap[0].on_excess: is none of the values it can have; write "reject" or "wait"'
    )


@pytest.mark.parametrize(
    "changed",
    ["replay = 'destructive'", "replay = 'session'", "replay = 'never'", "empty = { answer = 'origin' }", "empty = { answer = 'never' }"],
)  # fmt: skip
def test_an_eviction_that_may_lose_news_is_refused(tmp_path: Path, changed: str) -> None:
    cap = "[[policy.p.hold_cap]]\nmax = 1\non_excess = 'evict-oldest'\n"
    result = checked(tmp_path, f"{BASE}{HOLD}{ROUTED}[route.hold]\n{changed}\n{cap}")
    said = 'policy.p.hold_cap[0]: evicts polls of "poll", which may lose news; write on_excess = "reject"'
    assert f"gateway.toml: {said}" in result.problems


def test_an_eviction_of_polls_whose_answers_begin_at_once_is_told_to_be_of_little_use(tmp_path: Path) -> None:
    cap = "[[policy.p.hold_cap]]\nmax = 1\non_excess = 'evict-oldest'\n"
    result = checked(tmp_path, f"{BASE}{HOLD}{ROUTED}[route.hold]\nearly_headers = true\n{cap}")
    said = 'policy.p.hold_cap[0]: hardly ever evicts polls of "poll", whose answers begin at once'
    assert any(said in notice for notice in result.notices) and not result.problems


@pytest.mark.parametrize("kind", ["rate_limit", "hold_cap", "concurrency_cap"])
def test_a_limit_for_claims_needs_somebody_who_has_them(tmp_path: Path, kind: str) -> None:
    number = "rate = '1/s'" if kind == "rate_limit" else "max = 1"
    text = written(kind, f"{number}\nwhen_claims = {{ tier = 'gold' }}").replace('"signed", ', "")
    assert checked(tmp_path, text).problems == [
        f'gateway.toml: policy.p.{kind}[0]: is for nobody on route "r"; add a policy with jwt, or no when_claims'
    ]


def test_a_limit_per_consumer_where_nobody_signs_in_counts_by_address_and_says_so(tmp_path: Path) -> None:
    result = checked(tmp_path, written("rate_limit", "rate = '1/s'").replace('"signed", ', ""))
    assert result.problems == []
    assert (
        "gateway.toml: policy.p.rate_limit[0]: counts by address, for nobody is identified; add a policy with jwt, or "
        'write per = "address"' in result.notices
    )


def test_a_limit_per_header_where_nobody_signs_in_is_the_callers_own_word(tmp_path: Path) -> None:
    text = written("rate_limit", "rate = '1/s'\nper = 'header:X-Key'").replace('"signed", ', "")
    said = 'counts by what callers write, and who writes something else starts afresh; add a limit per "address"'
    assert f"gateway.toml: policy.p.rate_limit[0]: {said}" in checked(tmp_path, text).notices
    both = text + "[[policy.p.rate_limit]]\nrate = '9/s'\nper = 'address'\n"
    assert not [line for line in checked(tmp_path, both).notices if said in line]


def test_a_delay_where_no_request_is_a_poll(tmp_path: Path) -> None:
    said = 'refuses as "reject" does on route "r", which has no polls; add a policy with hold'
    shared = checked(tmp_path, written("rate_limit", "rate = '1/s'\nmode = 'delay'").replace('"poll", ', ""))
    assert (shared.problems, shared.notices) == ([], [f"gateway.toml: policy.p.rate_limit[0]: {said}"])
    own = checked(tmp_path, BASE + ROUTE + "[[route.rate_limit]]\nrate = '1/s'\nmode = 'delay'\n")
    assert own.problems == [f"gateway.toml: route[0].rate_limit[0]: {said}"]


@pytest.mark.parametrize(
    "limit",
    ["[[policy.p.rate_limit]]\nrate = '1/s'\nmode = 'delay'\n", "[[policy.p.hold_cap]]\nmax = 1\non_excess = 'wait'\n"],
)
def test_waiting_in_a_dialect_whose_holds_cannot_be_shortened(tmp_path: Path, limit: str) -> None:
    said = 'polls of "poll" cannot be told to hold for less, so they wait only for their margin, 5s; write a longer margin, or "reject"'
    text = f"{BASE}{HOLD}{ROUTED}[route.hold]\nempty = {{ answer = 'origin' }}\n{limit}"
    assert [line for line in checked(tmp_path, text).notices if line.endswith(said)]
    assert not [line for line in checked(tmp_path, f"{BASE}{HOLD}{ROUTED}{limit}").notices if "margin" in line]


def test_a_hold_cap_where_no_request_is_a_poll(tmp_path: Path) -> None:
    said = 'counts nothing on route "r"; add a policy with hold if it has polls'
    shared = checked(tmp_path, written("hold_cap", "max = 1").replace('"poll", ', ""))
    assert (shared.problems, shared.notices) == ([], [f"gateway.toml: policy.p.hold_cap[0]: {said}"])
    own = checked(tmp_path, BASE + ROUTE + "[[route.hold_cap]]\nmax = 1\n")
    assert own.problems == [f"gateway.toml: route[0].hold_cap[0]: {said}"]


def test_a_problem_of_a_limit_says_which_of_several(tmp_path: Path) -> None:
    text = written("rate_limit", "rate = '1/s'\n[[policy.p.rate_limit]]\n")
    assert checked(tmp_path, text).problems == [
        'gateway.toml: policy.p.rate_limit[1]: has no rate; write rate = "60/min"'
    ]


SEVERAL = """
[[policy.p.rate_limit]]
rate = "60/min"
burst = 20
[[policy.p.rate_limit]]
rate = "1000/day"
per = "claim:team"
when_claims = { tier = ["gold", 7] }
[[policy.p.rate_limit]]
rate = "5/s"
per = "address"
[policy.p.hold_cap]
max = 3
on_excess = "evict-oldest"
evict_grace = "5s"
[policy.p.concurrency_cap]
max = 10
per = "tenant"
"""
SECOND = '[[route]]\nname = "p"\nmatch = { path = "/s" }\nupstream = "u"\npolicies = ["signed", "poll", "p"]\n[[route.rate_limit]]\nrate = "1/s"\n'


def plans(folder: Path) -> tuple[Plan, ...]:
    return compile_config(sound(folder, BASE + HOLD + ROUTED + SECOND + SEVERAL), lambda: 0.0, ENVIRON).plans


def shown(plan: Plan) -> tuple[RateLimit, ...]:
    """In the order in which they are asked: before identity, then the others."""
    assert plan.shown is not None
    return plan.shown.limits


def test_a_limit_of_a_policy_is_one_limit_on_every_route(tmp_path: Path) -> None:
    first, second = plans(tmp_path)
    shared = [rate.limit for rate in shown(first)]
    assert len(set(shared)) == 3
    assert [rate.limit for rate in shown(second)] == [*shared, "route.p.rate_limit.consumer.0"]
    assert [cap.limit for cap in first.caps] == [cap.limit for cap in second.caps]
    assert len({cap.limit for cap in first.caps}) == 2


def test_every_limit_has_a_name_of_its_own_for_clients(tmp_path: Path) -> None:
    first, second = plans(tmp_path)
    assert [rate.name for rate in shown(first)] == ["p-3", "p", "p-2"]
    assert [rate.name for rate in shown(second)] == ["p-3", "p", "p-2", "p-4"]


def test_limits_per_address_are_steps_before_identity(tmp_path: Path) -> None:
    first, _ = plans(tmp_path)
    assert [rate.per for rate in first.rates] == ["consumer", "claim:team"]
    assert [step.__qualname__.partition(".")[0] for step in first.steps] == ["Screen", "Identify"]


def test_caps_compile_to_what_was_written(tmp_path: Path) -> None:
    polls, calls = plans(tmp_path)[0].caps
    assert (polls.polls, polls.max, polls.evict, polls.grace, polls.max_waiting) == (True, 3, True, 5.0, 0)
    assert (calls.polls, calls.max, calls.evict) == (False, 10, False)


def test_merged_limits_say_where_they_came_from(tmp_path: Path) -> None:
    config = sound(tmp_path, BASE + HOLD + ROUTED + SECOND + SEVERAL)
    merged = merge_route(config, config.routes[1])
    assert [name[:2] for name, _ in merged.rate_limits] == [("policy", "p")] * 3 + [("route", "p")]
    assert merged.origins["rate_limit[3]"] == "route"
    assert merged.origins["rate_limit[0]"].startswith("policy p (")

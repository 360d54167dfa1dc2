"""What is wrong with a `retry` table, as a person reads it."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.compile import compile_config
from gateway.holds.replay import REPLAY

from .kit import BASE, ENVIRON, ROUTE, checked, sound

TEXT = BASE + ROUTE.replace('["signed"]', '["signed", "p"]')


def text(keys: str = "", own: str = "") -> str:
    """A route with that `retry`; `own` is the route's own."""
    return f"{TEXT}{own}\n[policy.p.retry]\n{keys}\n"


POLL = "[policy.q.hold]\nabsent = '10s'\nmax = '10s'\nreplay = '{}'\nempty = {{ answer = 'origin' }}\n"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("status = [204, 503]", "policy.p.retry.status: 204 is no failure; write statuses from 400 on, such as 503"),
        ("status = [503]\nattempts = 1", "policy.p.retry.attempts: 1 sends nothing again; write 2, or remove status"),
        ("backoff = '2m'", "policy.p.retry.backoff: leaves nothing of response_timeout, 30s; write a shorter pause"),
        (
            "attempts = 0",
            "policy.p.retry.attempts: must be at least 1; write 1",
        ),
        (
            "attempts = 11",
            "policy.p.retry.attempts: must be at most 10; write 10",
        ),
        ("budget = 20", "policy.p.retry.budget: is not a share; write a number from 0 to 1, such as 0.5"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, keys: str, line: str) -> None:
    assert checked(tmp_path, text(keys)).problems == [f"gateway.toml: {line}"]


def test_an_order_that_may_be_done_twice_is_a_notice(tmp_path: Path) -> None:
    result = checked(tmp_path, text('methods = ["GET", "POST", "PUT"]'))
    assert result.problems == [] and result.notices == [
        "gateway.toml: policy.p.retry.methods: POST may be done twice when the service saw it and its answer was lost; remove it unless the service knows a request again"
    ]


@pytest.mark.parametrize("replay", REPLAY)
def test_where_polls_take_away_what_they_are_told_nothing_is_sent_again(tmp_path: Path, replay: str) -> None:
    result = checked(tmp_path, text().replace('"p"]', '"p", "q"]') + POLL.format(replay))
    said = [line for line in (result.notices if replay == "never" else result.problems) if "retry" in line]
    wanted = (
        f'gateway.toml: policy.p.retry: means nothing here, for replay = "{replay}" says that what a lost answer carried '
        'may be gone; remove retry, or write "cursor" or "until-ack" for replay if nothing is lost'
    )
    assert said == ([] if REPLAY[replay].again else [wanted])


def test_what_is_written_is_what_a_route_does(tmp_path: Path) -> None:
    keys = 'attempts = 3\nbudget = 0.5\nbackoff = "1s"\nmethods = ["PUT"]\nstatus = [429]'
    config = sound(tmp_path, text(keys, '[route.retry]\nbackoff = "2s"\n'))
    (plan,) = compile_config(config, lambda: 0.0, ENVIRON).plans
    assert (plan.retry.attempts, plan.retry.budget, plan.retry.backoff) == (3, 0.5, 2.0)
    assert (plan.retry.methods, plan.retry.status) == ({"PUT"}, {429})


def test_without_a_table_only_the_built_in_rule_holds(tmp_path: Path) -> None:
    (plan,) = compile_config(sound(tmp_path, BASE + ROUTE), lambda: 0.0, ENVIRON).plans
    assert (plan.retry.attempts, plan.retry.budget, plan.retry.backoff) == (1, 0.2, 0.025)

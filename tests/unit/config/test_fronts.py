"""The edge in front: named, numbered or both; what it keeps, what it answers, and what is said of it."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.fronts import KNOWN, keeps

from .kit import BASE, ROUTE, checked, sound

HELD = (
    BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "response_timeout = '5s'\n[policy.p.hold]\nabsent = '5s'\n"
)
LIST = "aws-alb, aws-apigw, azure-appgw, cloudflare, gcp-lb, heroku"


@pytest.mark.parametrize(
    ("front", "name", "waits"),
    [
        ("'aws-alb'", "aws-alb", 60),
        ("'cloudflare'", "cloudflare", 100),
        ("'heroku'", "heroku", 30),
        ("'gcp-lb'", "gcp-lb", 30),
        ("'azure-appgw'", "azure-appgw", 30),
        ("'aws-apigw'", "aws-apigw", 29),
        ("{ name = 'aws-alb' }", "aws-alb", 60),
        ("{ name = 'aws-alb', idle_timeout = '90s' }", "aws-alb", 90),
        ("{ name = 'our edge', idle_timeout = '90s' }", "our edge", 90),
        ("{ idle_timeout = '45s' }", "front", 45),
        ("'45s'", "front", 45),
        ("'1.5m'", "front", 90),
    ],
)
def test_an_edge_is_named_or_numbered_and_an_own_number_wins(
    tmp_path: Path, front: str, name: str, waits: float
) -> None:
    found = sound(tmp_path, f"{HELD}[server]\nfront = {front}\n").server.front
    assert found is not None
    assert (found.name, found.idle_timeout) == (name, waits)


@pytest.mark.parametrize(
    ("front", "line"),
    [
        ("'aws-abl'", f'server.front: "aws-abl" is none of the edges known by name ({LIST}); did you mean "aws-alb"? Else write what it waits: idle_timeout = "60s"'),
        ("{ name = 'CloudFlare' }", f'server.front: "CloudFlare" is none of the edges known by name ({LIST}); did you mean "cloudflare"? Else write what it waits: idle_timeout = "60s"'),
        ("'nginx'", f'server.front: "nginx" is none of the edges known by name ({LIST}); write what it waits: idle_timeout = "60s"'),
        ("{}", 'server.front.idle_timeout: is missing; write idle_timeout = "60s"'),
        ("45", 'server.front.idle_timeout: is a number without a unit; write a duration in quotes, such as "25s"'),
        ("'45'", 'server.front.idle_timeout: "45" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("{ name = 'aws-alb', idle_timeout = '0s' }", 'server.front.idle_timeout: must be longer than nothing; write a duration such as "25s"'),
        ("{ name = 'aws-alb', waits = '9s' }", "server.front.waits: unknown key; write one of: idle_timeout, name"),
        ("['aws-alb']", "server.front: is of the wrong kind; write a table"),
    ],
)  # fmt: skip
def test_an_edge_that_nobody_knows_is_one_line(tmp_path: Path, front: str, line: str) -> None:
    assert checked(tmp_path, f"{HELD}[server]\nfront = {front}\n").problems == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("front", "keepalive", "kept"),
    [
        ("aws-alb", "75s", None),
        ("aws-alb", "60s", ("60s", "65s")),
        ("cloudflare", "75s", ("900s", "905s")),
        ("gcp-lb", "75s", ("600s", "605s")),
        ("gcp-lb", "605s", None),
        ("heroku", "75s", ("90s", "95s")),
        ("azure-appgw", "1s", None),
        ("aws-apigw", "1s", None),
        ("45s", "45s", ("45s", "50s")),
        ("45s", "46s", None),
    ],
)
def test_kept_connections_are_compared_with_what_the_edge_is_known_to_keep(
    tmp_path: Path, front: str, keepalive: str, kept: tuple[str, str] | None
) -> None:
    found = checked(tmp_path, f'{HELD}[server]\nfront = "{front}"\nkeepalive_timeout = "{keepalive}"\n')
    name = "front" if front == "45s" else f"front {front}"
    assert found.problems == []
    assert found.notices == (
        [
            f"gateway.toml: server.keepalive_timeout: {keepalive} is not longer than {name} keeps an idle connection, {kept[0]}: "
            f'it may use one in the instant it is closed; write keepalive_timeout = "{kept[1]}"'
        ]
        if kept
        else []
    )


def test_nobody_is_told_to_change_an_edge_that_cannot_be_changed(tmp_path: Path) -> None:
    text = HELD.replace(
        "absent = '5s'", "absent = '28s'\nask = [{ in = 'query', name = 't' }]\nmax = '28s'\nrewrite = true"
    )
    (line,) = checked(tmp_path, f'{text}[server]\nkeepalive_timeout = "1h"\nfront = "heroku"\n').problems
    assert line.endswith('but front heroku waits only 30s; write max = "24s" and absent = "24s"')
    (line,) = checked(tmp_path, f'{text}[server]\nkeepalive_timeout = "1h"\nfront = "gcp-lb"\n').problems
    assert line.endswith('write max = "24s" and absent = "24s", or have front gcp-lb wait longer')


def test_an_idle_timer_of_an_own_length_keeps_connections_as_long() -> None:
    assert keeps("aws-alb", 90.0) == 90.0
    assert keeps("gcp-lb", 90.0) == 600.0


@pytest.mark.parametrize(
    ("front", "route", "more", "told"),
    [
        ("heroku", "", "", True),
        ("aws-alb", "", "", False),
        ("heroku", "response_timeout = '29s'", "", False),
        ("30.5s", "", "", False),
        ("aws-alb", "", "[[policy.signed.concurrency_cap]]\nmax = 1\non_excess = 'wait'\n", True),
        ("aws-alb", "", "[[policy.signed.concurrency_cap]]\nmax = 1\n", False),
        ("heroku", "hold = { absent = '5s' }", "", False),
        ("heroku", "hold = { absent = '5s', when = ['query:t present'] }", "", True),
    ],
    ids=["longer", "shorter", "narrowed", "a number", "with a line", "without a line", "polls only", "polls and calls"],
)
def test_an_ordinary_call_that_outlasts_the_edge_is_told_of(
    tmp_path: Path, front: str, route: str, more: str, told: bool
) -> None:
    text = f'{BASE}{ROUTE}{route}\n{more}[server]\nfront = "{front}"\nkeepalive_timeout = "1h"\n'
    found = checked(tmp_path, text)
    assert found.problems == []
    assert ["response_timeout: an ordinary call may take 30s" in each for each in found.notices] == [True] * told


def test_one_upstream_on_two_routes_is_told_of_once(tmp_path: Path) -> None:
    second = ROUTE.replace('"r"', '"s"').replace('"/r"', '"/s"')
    found = checked(tmp_path, f'{BASE}{ROUTE}{second}[server]\nfront = "heroku"\nkeepalive_timeout = "1h"\n')
    assert found.notices == [
        "gateway.toml: upstream.u.response_timeout: an ordinary call may take 30s, but front heroku waits only 30s: of a slow "
        "upstream clients hear from it and not from us; write a shorter response_timeout"
    ]


@pytest.mark.parametrize("name", list(KNOWN))
def test_every_named_edge_says_where_its_numbers_come_from(name: str) -> None:
    edge = KNOWN[name]
    assert edge.source.startswith("https://")
    assert edge.keeps is None or edge.keeps >= edge.waits
    assert not edge.idle or edge.keeps == edge.waits

"""What holds for a route, and where each value came from."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

from gateway.config.merge import Merged, merge_route
from gateway.config.table import route_table

from .kit import BASE, ROUTE, sound

POLICIES = """
[policy.p]
hold = { absent = "25s", margin = "2s", jitter = { ratio = 0.5, span = "1s" }, ask = [{ in = "query", name = "t" }], rewrite = true }
body_size = { max = "64KiB" }
allow_list = { addresses = ["10.0.0.0/8"] }
headers = { request = { set = { A = "p" } } }
[policy.q]
body_size = { max = "1KiB" }
allow_list = { addresses = ["127.0.0.1"] }
headers = [{ response = { remove = ["Server"] } }, { request = { set = { A = "q" } } }]
"""


def merged(folder: Path, more: str = "", policies: str = '["signed", "p", "q"]') -> Merged:
    config = sound(folder, BASE + POLICIES + ROUTE.replace('["signed"]', policies) + more)
    return merge_route(config, config.routes[0])


def test_a_table_of_the_route_is_merged_over_its_policy_key_by_key(tmp_path: Path) -> None:
    result = merged(tmp_path, '[route.hold]\nabsent = "20s"\njitter = { span = "3s" }\n')
    assert result.hold is not None
    assert (result.hold.absent, result.hold.margin, result.hold.max) == (20, 2, 60)
    assert (result.hold.jitter.ratio, result.hold.jitter.span) == (0.5, 3)
    assert result.dialect == "p"


def test_each_value_knows_who_wrote_it(tmp_path: Path) -> None:
    result = merged(tmp_path, '[route.hold]\nabsent = "20s"\njitter = { span = "3s" }\n')
    policy = f"policy p ({tmp_path}/gateway.toml)"
    keys = ("absent", "margin", "max", "jitter.ratio", "jitter.span", "jitter.early", "empty.answer")
    assert [result.origins[f"hold.{key}"] for key in keys] == [
        "route", policy, "default", policy, "route", "default", "default",
    ]  # fmt: skip


def test_a_value_of_a_shipped_policy_says_so(tmp_path: Path) -> None:
    result = merged(tmp_path, policies='["cursor-updates"]')
    assert result.origins["hold.max"] == "policy cursor-updates (shipped cursor-updates.toml)"
    assert result.hold is not None
    assert result.hold.max == 45


def test_a_hold_of_the_route_alone_is_a_dialect_of_its_own(tmp_path: Path) -> None:
    result = merged(tmp_path, '[route.hold]\nabsent = "20s"\n', policies="[]")
    assert result.dialect == "r"
    assert result.origins["hold.absent"] == "route"


def test_a_route_without_policies_has_only_its_upstreams_clocks(tmp_path: Path) -> None:
    result = merged(tmp_path, policies="[]")
    assert (result.hold, result.jwt, result.cors, result.allow_lists, result.headers) == (None, None, None, (), ())
    assert result.max_body is None
    assert (result.connect_timeout, result.response_timeout, result.body_idle_timeout) == (2, 30, 60)


def test_lists_of_rules_are_joined_policies_before_the_route(tmp_path: Path) -> None:
    result = merged(tmp_path, "[route.headers.request.set]\nA = 'r'\n")
    values = [rule.request.set["A"].where for rule in result.headers if rule.request.set]
    assert values == ["p", "q", "r"]
    assert [result.writers[f"headers[{number}]"] for number in range(4)] == [
        ("policy", "p"), ("policy", "q"), ("policy", "q"), ("route", "r"),
    ]  # fmt: skip
    assert [each.addresses for each in result.allow_lists] == [("10.0.0.0/8",), ("127.0.0.1/32",)]


def test_the_smallest_body_size_of_the_policies_counts(tmp_path: Path) -> None:
    result = merged(tmp_path)
    assert (result.max_body, result.writers["body_size.max"]) == (1024, ("policy", "q"))


def test_the_routes_own_body_size_replaces_them(tmp_path: Path) -> None:
    result = merged(tmp_path, 'body_size = { max = "1MiB" }\n')
    assert (result.max_body, result.origins["body_size.max"]) == (1 << 20, "route")


def test_a_clock_of_the_route_narrows_the_upstreams(tmp_path: Path) -> None:
    result = merged(tmp_path, 'response_timeout = "10s"\n')
    assert (result.response_timeout, result.origins["response_timeout"]) == (10, "route")
    assert result.origins["connect_timeout"] == "default"


def test_the_table_of_routes_shows_each_on_a_line(tmp_path: Path) -> None:
    more = '[[route]]\nname = "open"\nmatch = { path = "/{x}/**", host = "a.b", methods = ["GET", "POST"] }\nupstream = "u"\n'
    config = sound(tmp_path, BASE + POLICIES + ROUTE.replace('["signed"]', '["p"]') + more)
    assert route_table(config).splitlines() == [
        "ROUTE  HOST  PATH     METHODS   UPSTREAM  HOLD    POLICIES",
        "r      *     /r       *         u         0s..1m  p",
        "open   a.b   /{x}/**  GET,POST  u         -       -",
    ]

"""What routes share: what they ask for alike is there once, and nothing that is one route's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.config.compile import compile_config
from gateway.config.sharing import Shared
from gateway.plan import Plan

from .kit import BASE, ENVIRON, sound

POLICY = """
[policy.p]
hold = { ask = [{ in = "query", name = "wait" }], max = "30s", rewrite = true }
headers = { request = { set = { X-From = "p" } }, response = { remove = ["Server"] } }
cors = { origins = ["https://a.test"] }
retry = { attempts = 2 }
rate_limit = [{ rate = "60/min" }, { rate = "5/s", per = "address" }]
hold_cap = { max = 3 }
concurrency_cap = { max = 10 }
allow_list = { addresses = ["127.0.0.1"] }
"""
ALIKE = (
    "steps", "early", "rates", "shown", "caps", "asked", "at_once", "hold", "request", "response", "cors", "retry",
    "sample",
)  # fmt: skip
OTHER = '[upstream.v]\nendpoints = ["http://127.0.0.1:5001"]\nheaders = { set = { X-Via = "v" } }\n'


def routes(folder: Path, *each: str) -> tuple[Plan, ...]:
    """A plan for each, which says what is a route's own."""
    head = '[[route]]\nname = "r{0}"\nmatch = {{ path = "/{0}" }}\npolicies = ["signed", "p"]\n'
    text = "".join(head.format(number) + more + "\n" for number, more in enumerate(each))
    return compile_config(sound(folder, BASE + OTHER + POLICY + text), lambda: 0.0, ENVIRON).plans


@pytest.mark.parametrize("name", ALIKE)
def test_routes_with_the_same_policies_have_it_once(tmp_path: Path, name: str) -> None:
    here, there = (getattr(plan, name) for plan in routes(tmp_path, 'upstream = "u"', 'upstream = "u"'))
    assert here and here is there


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ('upstream = "v"', {"request"}),
        ('upstream = "u"\nrewrite = "/elsewhere"', {"request"}),
        ('upstream = "u"\nrate_limit = { rate = "1/s" }', {"rates", "shown", "asked", "at_once"}),
        ('upstream = "u"\nhold_cap = { max = 1 }', {"caps", "asked", "at_once"}),
        ('upstream = "u"\njwt = { scopes = ["read"] }', {"steps"}),
        ('upstream = "u"\nhold = { max = "10s" }', {"hold"}),
        ('upstream = "u"\nheaders = { response = { set = { X-Own = "1" } } }', {"request", "response"}),
        ('upstream = "u"\ncors = { max_age = "1m" }', {"cors"}),
    ],
)
def test_what_is_one_route_s_own_is_not_the_other_s(tmp_path: Path, own: str, names: set[str]) -> None:
    usual, other = routes(tmp_path, 'upstream = "u"', own)
    assert {name for name in ALIKE if getattr(usual, name) is not getattr(other, name)} == names


def test_a_hold_that_is_asked_for_in_the_path_is_the_route_s_own(tmp_path: Path) -> None:
    text = BASE + '[policy.p]\nhold = { ask = [{ in = "path", name = "wait" }], max = "30s", over_max = "reject" }\n'
    for name in ("a", "b"):
        text += f'[[route]]\nname = "{name}"\nmatch = {{ path = "/{name}/{{wait}}" }}\nupstream = "u"\n'
        text += 'policies = ["signed", "p"]\n'
    one, other = compile_config(sound(tmp_path, text), lambda: 0.0, ENVIRON).plans
    assert [place.template for plan in (one, other) if plan.hold for place in plan.hold.ask] == [
        "/a/{wait}",
        "/b/{wait}",
    ]


def numbered(*parts: object) -> list[object]:
    return list(parts)


def test_it_is_made_once_for_the_same_parts() -> None:
    shared = Shared()
    assert shared(numbered, 1, ("a", None)) is shared(numbered, 1, ("a", None))
    assert shared(numbered, 1, ("a", None)) is not shared(numbered, 1, ("b", None))


def test_parts_that_cannot_be_compared_count_as_the_same_only_where_they_are() -> None:
    shared, one = Shared(), {"tier": ["gold"]}
    assert shared(numbered, one, (one, 1)) is shared(numbered, one, (one, 1))
    assert shared(numbered, one) is not shared(numbered, dict(one))


def test_no_part_is_taken_for_one_that_was_there_before() -> None:
    shared = Shared()

    def first(part: Mapping[str, int]) -> int:
        return part["n"]

    # each dict would have the address of the one before, were that not kept
    assert [shared(first, {"n": number}) for number in range(100)] == list(range(100))

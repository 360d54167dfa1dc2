"""Which route takes a request: the most specific one, for every host, path and method, checked against a matcher that
tries all rules one by one; ties are found when the router is built.
"""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.routing import Found, NotFound, RouteConflictError, Router, Rule


def router(*rules: tuple[str | None, str, str] | tuple[str | None, str]) -> Router:
    """Routes named by their place in the list; methods as "GET POST", "" for any."""
    return Router(
        (Rule(rule[0], rule[1], tuple(rule[2].split()) if len(rule) == 3 else ()), plan(number))
        for number, rule in enumerate(rules)
    )


def plan(name: object) -> Any:
    return cast(Any, SimpleNamespace(route=str(name)))


def name_of(found: Found | NotFound) -> str | None:
    return None if isinstance(found, NotFound) else found.plan.route


PATHS = router(
    (None, "/"), (None, "/a"), (None, "/a/"), (None, "/a/b"), (None, "/a/{x}"), (None, "/{x}/b"), (None, "/a/**"),
    (None, "/{x}/{y}/c"),
    (None, "/files/**"), (None, "/a/{x}/d/e"), (None, "/a/b/{y}/f"), (None, "/**"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "route", "params"),
    [
        ("/", 0, None),
        ("/a", 1, None),
        ("/a/", 2, None),
        ("/a/b", 3, None),
        ("/a/z", 4, {"x": "z"}),
        ("/z/b", 5, {"x": "z"}),
        ("/a/z/", 6, {"**": "z/"}),
        ("/a/z/z", 6, {"**": "z/z"}),
        ("/a/b/c", 6, {"**": "b/c"}),  # from the left: what begins with a literal comes before /{x}/{y}/c
        ("/z/z/c", 7, {"x": "z", "y": "z"}),
        ("/files/", 8, {"**": ""}),
        ("/files/x/y", 8, {"**": "x/y"}),
        ("/files", 11, {"**": "files"}),
        ("/a/b/d/e", 9, {"x": "b"}),  # /a/b/{y} leads nowhere, back to /a/{x}
        ("/a/b/z/f", 10, {"y": "z"}),
        ("/a/b/z/g", 6, {"**": "b/z/g"}),
        ("/z", 11, {"**": "z"}),
        ("/z/", 11, {"**": "z/"}),
        ("/a/%20", 4, {"x": "%20"}),
        ("/A", 11, {"**": "A"}),  # paths are case-sensitive
    ],
)
def test_the_most_specific_path_wins(path: str, route: int, params: dict[str, str] | None) -> None:
    found = PATHS.find("h", path, "GET")
    assert isinstance(found, Found) and (found.plan.route, found.params) == (str(route), params)


WITHIN = router(
    (None, "/bot{token}/getUpdates"), (None, "/{x}/getUpdates"), (None, "/bot/getUpdates"),
    (None, "/bots{x}/getUpdates"),
    (None, "/{name}:poll"), (None, "/v1/items-{id}.json"), (None, "/v1/items-{id}"), (None, "/v1/{id}.json"),
    (None, "/v1/items-{id}/**"), (None, "/bot{token}/**"), (None, "/v1/{any}"), (None, "/v{n}/last"),
    (None, "/t/ab{x}"), (None, "/t/{x}ba"), (None, "/t/a{x}b"),
    (None, "/u/a{x}"), (None, "/u/{x}bcd"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "route", "params"),
    [
        ("/bot123:abc/getUpdates", 0, {"token": "123:abc"}),
        ("/bot{token}/getUpdates", 0, {"token": "{token}"}),
        ("/bo/getUpdates", 1, {"x": "bo"}),
        ("/bot/getUpdates", 2, None),  # what is captured is never empty
        ("/bots1/getUpdates", 3, {"x": "1"}),  # more plain text comes first
        ("/bots/getUpdates", 0, {"token": "s"}),
        ("/BOT1/getUpdates", 1, {"x": "BOT1"}),
        ("/a:poll", 4, {"name": "a"}),
        ("/a:poll:poll", 4, {"name": "a:poll"}),
        ("/:poll", None, None),
        ("/v1/items-7.json", 5, {"id": "7"}),
        ("/v1/items-.json", 6, {"id": ".json"}),
        ("/v1/items.json", 7, {"id": "items"}),
        ("/v1/items-7", 6, {"id": "7"}),
        ("/v1/items-7/a/b", 8, {"id": "7", "**": "a/b"}),
        ("/v1/items-", 10, {"any": "items-"}),
        ("/v1/last", 10, {"any": "last"}),  # from the left: /v1 comes before /v{n}
        ("/v2/last", 11, {"n": "2"}),
        ("/bot1/x", 9, {"token": "1", "**": "x"}),  # back from what leads nowhere
        ("/bots1/x", 9, {"token": "s1", "**": "x"}),
        ("/bot1%2Aa/getUpdates", 0, {"token": "1%2Aa"}),
        ("/t/abxba", 12, {"x": "xba"}),  # as much plain text in both: the one that begins with more
        ("/t/axxba", 13, {"x": "axx"}),
        ("/t/axb", 14, {"x": "x"}),
        ("/u/axbcd", 16, {"x": "ax"}),  # more of it counts before where it stands
        ("/t/ab", None, None),  # `a` and `b` do not overlap
    ],
)
def test_plain_text_around_a_capture_makes_it_more_specific(
    path: str, route: int | None, params: dict[str, str] | None
) -> None:
    found = WITHIN.find("h", path, "GET")
    assert name_of(found) == (str(route) if route is not None else None)
    assert isinstance(found, NotFound) or found.params == params


def test_thousands_of_captures_with_text_around_them_cost_one_look_up() -> None:
    many = router(*((None, f"/item-{number:04}-{{x}}.json") for number in range(5000)))
    found = many.find("h", "/item-4711-z.json", "GET")
    assert isinstance(found, Found) and (found.plan.route, found.params) == ("4711", {"x": "z"})
    assert isinstance(many.find("h", "/item-5000-z.json", "GET"), NotFound)


@pytest.mark.parametrize(
    ("host", "route"),
    [("api.example.com", 0), ("x.example.com", 1), ("x.y.example.com", 2), ("a.x.y.example.com", 2),
     ("a.b.example.com", 1),
     ("example.com", 3), ("api.example.org", 3), ("", 3), ("xexample.com", 3), ("y.example.com", 1)],
)  # fmt: skip
def test_the_most_specific_host_wins(host: str, route: int) -> None:
    hosts = router(("api.Example.com", "/a"), ("*.example.com", "/a"), ("*.y.example.com", "/a"), (None, "/a"))
    assert name_of(hosts.find(host, "/a", "GET")) == str(route)


def test_a_host_that_lacks_the_path_leaves_it_to_a_wider_one() -> None:
    hosts = router(("h.example", "/a"), ("*.example", "/b"), (None, "/c"))
    assert [name_of(hosts.find("h.example", path, "GET")) for path in ("/a", "/b", "/c", "/d")] == ["0", "1", "2", None]


def test_the_host_that_has_the_path_decides_about_the_method() -> None:
    """`find` says: the first tree that has the path decides. A method it does not serve is not sent to a wider host."""
    hosts = router(("h.example", "/a", "GET"), (None, "/a", "POST"))
    assert hosts.find("h.example", "/a", "POST") == NotFound(("GET", "HEAD"), True)


METHODS = router(
    (None, "/a", "GET"), (None, "/a", "POST PUT"), (None, "/b"), (None, "/b", "GET"), (None, "/{x}", "DELETE")
)


@pytest.mark.parametrize(
    ("path", "method", "route"),
    [("/a", "GET", 0), ("/a", "HEAD", 0), ("/a", "POST", 1), ("/a", "PUT", 1), ("/b", "GET", 3), ("/b", "HEAD", 3),
     ("/b", "PATCH", 2),
     ("/a", "DELETE", 4), ("/z", "DELETE", 4)],
)  # fmt: skip
def test_a_route_for_the_method_wins_over_one_for_any_and_get_brings_head(path: str, method: str, route: int) -> None:
    assert name_of(METHODS.find("h", path, method)) == str(route)


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [("/a", "PATCH", ("DELETE", "GET", "HEAD", "POST", "PUT")), ("/z", "GET", ("DELETE",)), ("/z/z", "GET", ()),
    ("/*", "GET", ("DELETE",))],
)  # fmt: skip
def test_a_wrong_method_is_told_the_right_ones(path: str, method: str, allow: tuple[str, ...]) -> None:
    assert METHODS.find("h", path, method) == NotFound(allow, True)


def test_an_unknown_host_is_told_apart_from_an_unknown_path() -> None:
    one = router(("h.example", "/a"), ("*.h.example", "/a"))
    assert one.find("other.example", "/a", "GET") == NotFound((), False)
    assert one.find("h.example", "/b", "GET") == NotFound((), True)
    assert one.find("x.h.example", "/b", "GET") == NotFound((), True)


def test_the_asterisk_of_options_is_no_path() -> None:
    """`OPTIONS *` asks about the server (RFC 9110 9.3.7); it is not the path `/*`, nor what `{x}` stands for."""
    assert isinstance(router((None, "/{x}")).find("h", "*", "OPTIONS"), NotFound)


@pytest.mark.parametrize(
    ("first", "second"),
    [((None, "/a"), (None, "/a")), ((None, "/{x}"), (None, "/{y}")), ((None, "/a/{x}/b"), (None, "/a/{y}/b")), ((None,
     "/**"), (None, "/**")),
     ((None, "/bot{x}/a"), (None, "/bot{y}/a")), ((None, "/{x}:poll"), (None, "/{y}:poll")),
     (("h", "/a"), ("H", "/a")), (("*.h", "/a"), ("*.H", "/a")), ((None, "/a", "GET POST"), (None, "/a", "PUT GET")),
     ((None, "/a", "GET"), (None, "/a", "HEAD"))],
)  # fmt: skip
def test_a_tie_is_an_error_that_names_both(first: Any, second: Any) -> None:
    with pytest.raises(RouteConflictError, match=r"'0'.*'1'|'1'.*'0'"):
        router(first, second)


@pytest.mark.parametrize(
    ("first", "second"),
    [((None, "/a"), (None, "/a/")), ((None, "/a"), ("h", "/a")), ((None, "/a", "GET"), (None, "/a")), ((None, "/a",
     "GET"), (None, "/a", "POST")),
     (("*.h", "/a"), ("*.x.h", "/a")), ((None, "/{x}/a"), (None, "/{y}/b")),
     ((None, "/a{x}"), (None, "/{x}a")), ((None, "/a{x}/b"), (None, "/a{y}/c")), ((None, "/a/**"), (None, "/a/{x}"))],
)  # fmt: skip
def test_what_can_be_told_apart_is_no_tie(first: Any, second: Any) -> None:
    router(first, second)


SEGMENT = st.sampled_from(["a", "b", "{x}", "{y}", "a{x}", "{x}a", "a{y}b", "ab{x}", "ab"])
TEMPLATES = st.tuples(st.lists(SEGMENT, min_size=1, max_size=4), st.sampled_from(["", "", "/", "/**"])).map(
    lambda parts: "/" + "/".join(parts[0]) + parts[1]
)
RULES = st.lists(st.tuples(st.sampled_from([None, None, "h.ex", "*.ex"]), TEMPLATES), min_size=1, max_size=8)
REQUESTS = st.lists(st.sampled_from(["a", "b", "c", "ab", "aba", "abab", "ca"]), min_size=1, max_size=5).map(
    lambda parts: "/" + "/".join(parts)
)


Rank = tuple[int, ...]


def matches(template: str, path: str) -> tuple[Rank, ...] | None:
    """How well a template matches, part by part (plain text, text around a capture, a capture, the tail), None if it
    does not. The better rank is the lower one."""
    wanted, given_ = template.split("/")[1:], path.split("/")[1:]
    rank: list[Rank] = []
    for at, part in enumerate(wanted):
        if part == "**":
            return (*rank, (3,)) if len(given_) > at else None
        found = matches_part(part, given_[at]) if at < len(given_) else None
        if found is None:
            return None
        rank.append(found)
    return tuple(rank) if len(wanted) == len(given_) else None


def matches_part(part: str, text: str) -> Rank | None:
    if "{" not in part:
        return (0,) if part == text else None
    before, _, rest = part.partition("{")
    after = rest.partition("}")[2]
    if not re.fullmatch(f"{re.escape(before)}.+{re.escape(after)}", text):
        return None
    return (1, -len(before + after), -len(before)) if before or after else (2,)


@given(RULES, REQUESTS | REQUESTS.map(lambda path: path + "/"), st.sampled_from(["h.ex", "x.ex", "other"]))
def test_the_tree_finds_what_trying_every_rule_finds(rules: list[tuple[str | None, str]], path: str, host: str) -> None:
    try:
        built = router(*rules)
    except RouteConflictError:
        assume(False)
    orders: dict[str, list[str | None]] = {"h.ex": ["h.ex", "*.ex", None], "x.ex": ["*.ex", None], "other": [None]}
    order = orders[host]
    ranked = [
        ((order.index(rule_host), rank), str(number))
        for number, (rule_host, template) in enumerate(rules)
        if rule_host in order and (rank := matches(template, path)) is not None
    ]
    assert name_of(built.find(host, path, "GET")) == (min(ranked)[1] if ranked else None)


def test_a_path_of_thousands_of_segments_is_only_a_long_path() -> None:
    path = "/a" * 4000
    assert name_of(PATHS.find("h", path, "GET")) == "6"
    assert isinstance(METHODS.find("h", path, "GET"), NotFound)

"""The slips of a first configuration, as the exact line a person reads: what is wrong, where, and what to write."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.compile import compile_config

from .kit import BASE, ENVIRON, JWT, ROUTE, UPSTREAM, checked, sound

SERVER = "[server]\n"
CURSOR = ROUTE.replace('["signed"]', '["signed", "cursor-updates"]')


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'{SERVER}listen = "127.0.0.1"', 'server.listen[0]: "127.0.0.1" names no port; write "127.0.0.1:8080"'),
        (f'{SERVER}listen = "localhost"', 'server.listen[0]: "localhost" names no port; write "localhost:8080"'),
        (f'{SERVER}listen = "8080"', 'server.listen[0]: "8080" names no host; write "0.0.0.0:8080" to listen on every address'),
        (
            f'{SERVER}listen = ["127.0.0.1:8080", "127.0.0.1:8080"]',
            "server.listen[1]: 127.0.0.1:8080 is taken by server.listen[0]; write another port",
        ),
        ('[admin]\nlisten = "127.0.0.1:8080"', "admin.listen: 127.0.0.1:8080 is taken by server.listen[0]; write another port"),
        ('[log]\ncalls = "file:."', "log.calls: . is a directory; name a file in it"),
        ("[[admin]]", "admin: is of the wrong kind; write [admin]"),
        ("[[jwt.x]]", "jwt.x: is of the wrong kind; write [jwt.x]"),
        ("[[upstream.x]]", "upstream.x: is of the wrong kind; write [upstream.x]"),
        ('[route]\nname = "r"', "route: is of the wrong kind; write [[route]]"),
        (
            '[jwt.x]\nkeys = { secret = "env:SECRET" }\nalgorithms = "HS256"',
            'jwt.x.algorithms: is of the wrong kind; write a list in [ ], such as algorithms = ["RS256"]',
        ),
        (
            '[jwt.x]\nkeys = { secret = "env:SECRET" }\nalgorithms = ["hs256"]',
            'jwt.x.algorithms[0]: is none of the values it can have; did you mean "HS256"?',
        ),
        (
            '[jwt.x]\nkeys = { secret = "env:SECRET" }\nalgorithms = ["HS265"]',
            'jwt.x.algorithms[0]: is none of the values it can have; did you mean "HS256"?',
        ),
        (
            '[[route]]\nname = "x"\nupstream = "u"\nmatch = "/x"',
            'route[0].match: is of the wrong kind; write a table, such as match = { path = "/updates" }',
        ),
        (
            '[[route]]\nname = "x"\nupstream = "u"\nmatch = { path = "/x/*" }',
            'route[0].match.path: "*" stands for nothing in a path; write "**" at the end for all below, or "{x}" for one part',
        ),
        (
            '[policy.p.hold]\nabsent = "25s"\ncursor = { response = "max(json:/*/id" }',
            'policy.p.hold.cursor.response: is not a place in an answer; write "json:/version", "max(json:/*/id)" or "header:ETag"',
        ),
        (
            "[policy.p.hold]\nabsent = '25s'\nover_max = 'clmp'",
            'policy.p.hold.over_max: is none of the values it can have; did you mean "clamp"?',
        ),
    ],
)  # fmt: skip
def test_a_slip_is_one_line_with_its_remedy(tmp_path: Path, text: str, line: str) -> None:
    problems = checked(tmp_path, f"{BASE}{text}\n").problems
    assert [each.replace(str(tmp_path), ".") for each in problems] == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            JWT.replace("[jwt.main]", "[jwt]"),
            "jwt: the key 'issuer' stands under [jwt]; write a name there, [jwt.main]",
        ),
        (
            UPSTREAM.replace("[upstream.u]", "[upstream]"),
            "upstream: the key 'endpoints' stands under [upstream]; write a name there, [upstream.updates]",
        ),
    ],
)
def test_a_table_without_its_name_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert checked(tmp_path, text).problems == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ('max = "10s"', "route[0].hold.absent: 25s is not within min, 1s, to max, 10s; change one of them"),
        ('max = "0s"', "route[0].hold.min: 1s is longer than max, 0s; write a shorter min, or a longer max"),
        (
            'max = "60s"',
            "route[0].hold.client_timeout: a poll may last 60s + jitter 3.75s + margin 5s = 68.75s but clients wait only 60s; "
            'write max = "51s", or have client_timeout wait longer',
        ),
        (
            'absent = "unbounded"\nrewrite = false\nclient_timeout = "52s"',
            "route[0].hold.client_timeout: a poll may last 45s + jitter 2.8125s + margin 5s = 52.8125s but clients wait "
            'only 52s; write max = "44s", or have client_timeout wait longer',
        ),
    ],
)
def test_a_shipped_policy_is_put_right_on_the_route_that_uses_it(tmp_path: Path, keys: str, line: str) -> None:
    found = checked(tmp_path, f"{BASE}{CURSOR}[route.hold]\n{keys}\n").problems
    assert f"gateway.toml: {line}" in found
    assert all(each.startswith("gateway.toml: route[0].hold.") for each in found)


@pytest.mark.parametrize("idle_timeout", ["50s", "52s"])
def test_a_front_that_cuts_a_shipped_hold_is_told_at_the_route(tmp_path: Path, idle_timeout: str) -> None:
    text = f'{BASE}{CURSOR}{SERVER}front = {{ name = "lb", idle_timeout = "{idle_timeout}" }}\n'
    (found,) = checked(tmp_path, text).problems
    assert found.startswith(
        "gateway.toml: route[0].hold.max: a poll may last 45s + jitter 2.8125s + margin 5s = 52.8125s"
    )
    assert f'but front lb waits only {idle_timeout}; write max = "4' in found


def test_a_file_with_a_byte_order_mark_and_foreign_line_ends_is_read(tmp_path: Path) -> None:
    assert checked(tmp_path, f"\ufeff{BASE}{ROUTE}".replace("\n", "\r\n")).problems == []


@pytest.mark.parametrize("value", ["two\nlines", "für", "\x7f"])
def test_a_value_from_outside_that_no_header_may_carry_is_found_and_not_shown(tmp_path: Path, value: str) -> None:
    (tmp_path / "value.txt").write_text(value, "utf-8")
    text = BASE + ROUTE + '[route.headers]\nresponse = { set = { X-Key = "file:value.txt" } }\n'
    (found,) = checked(tmp_path, text).problems
    assert found.startswith(
        "gateway.toml: route[0].headers[0].response.set.X-Key: what stands in file:value.txt holds "
    )
    assert value not in found


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_header_value_may_stand_in_the_environment(tmp_path: Path, side: str) -> None:
    text = BASE + ROUTE + f'[route.headers]\n{side} = {{ set = {{ X-Key = "env:SHORT" }} }}\n'
    (plan,) = compile_config(sound(tmp_path, text), lambda: 0.0, ENVIRON).plans
    assert b"X-Key: short\r\n" in getattr(plan, side).add

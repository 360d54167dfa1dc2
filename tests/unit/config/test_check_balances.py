"""What is wrong with how calls are spread, as the exact line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.compile import compile_config

from .kit import ENVIRON, JWT, ROUTE, SIGNED, UPSTREAM, checked, sound

REST = JWT + SIGNED + ROUTE
SESSIONS = (
    ROUTE.replace('["signed"]', '["signed", "p"]')
    + '[policy.p.hold]\nabsent = "25s"\nempty = { answer = "never" }\nreplay = "session"\n'
)


def balanced(balance: str, sticky: str = "", more: str = "") -> str:
    table = f"sticky = {sticky}\n" if sticky else ""
    return f'{UPSTREAM}balance = "{balance}"\n{table}{more}\n{REST}'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (balanced("sticky:query.sid"), 'upstream.u.sticky.id: is missing: what a session is called must be read from the answer that begins it; write id = "json:/sid", or balance = "hash:query.sid" if clients choose the name'),
        (balanced("sticky:query.sid", '{ id = "query:sid" }'), 'upstream.u.sticky.id: `query:sid` is not a place in an answer; write "json:/sid", "header:X-Session", "cookie:sid" or "xml:@sid"'),
        (balanced("sticky:query.sid", '{ id = "json:/sid", skip = "(" }'), "upstream.u.sticky.skip: `(` is not a regular expression (missing ), unterminated subpattern at position 0); write such as \"^0\""),
        (balanced("least-held", '{ id = "json:/sid" }'), 'upstream.u.sticky: counts for nothing without a balance such as "sticky:query.sid"; write that, or remove the table'),
        (balanced("hash:path.doc"), 'upstream.u.balance: `hash:path.doc`: the path of route \'r\' has no {doc}; write it there, such as path = "/r/{doc}"'),
        (balanced("hash:path.dok").replace('"/r"', '"/r/{doc}"'), "upstream.u.balance: `hash:path.dok`: the path of route 'r' has no {dok}, did you mean `doc`?; write it there, such as path = \"/r/{doc}/{dok}\""),
        (balanced("sticky:consumer"), 'upstream.u.balance: "sticky:consumer" names nothing in a request; write "sticky:query.NAME", "sticky:header.NAME", "sticky:cookie.NAME" or "sticky:path.NAME"'),
    ],
)  # fmt: skip
def test_every_problem_says_what_to_write(tmp_path: Path, text: str, line: str) -> None:
    assert checked(tmp_path, text).problems == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (balanced("hash:consumer").replace('["signed"]', "[]"), "upstream.u.balance: `hash:consumer`: of callers of route 'r' only addresses are known; add a policy with jwt"),
        (balanced("hash:consumer", more='slow_start = "10s"'), 'upstream.u.slow_start: has no effect with balance = "hash:consumer": values stay where they are; remove it'),
        (balanced("sticky:query.sid", '{ id = "json:/sid", keep = "20s" }').replace(ROUTE, SESSIONS), "upstream.u.sticky.keep: a session may be forgotten while its poll on route 'r' is held, up to 60s; write more"),
        (balanced("least-held").replace(ROUTE, SESSIONS).replace("5000", '5000", "http://127.0.0.1:5001'), "upstream.u.balance: `least-held`: the polls of a session of route 'r' go to different endpoints; write a balance such as \"sticky:query.sid\" unless they share their sessions"),
    ],
)  # fmt: skip
def test_what_is_odd_is_a_notice(tmp_path: Path, text: str, line: str) -> None:
    found = checked(tmp_path, text)
    assert found.problems == [] and f"gateway.toml: {line}" in found.notices


@pytest.mark.parametrize(
    ("balance", "sticky"),
    [
        ("least-held", ""),
        ("random-two", ""),
        ("hash:tenant", ""),
        ("hash:path.doc", ""),
        ("sticky:query.sid", '{ id = "json:/sid" }'),
        ("sticky:query.sid", '{ id = "cookie:sid" }'),
        ("sticky:header.Mcp-Session-Id", ""),
        ("sticky:cookie.session", '{ keep = "1h" }'),
    ],
)
def test_what_is_whole_compiles(tmp_path: Path, balance: str, sticky: str) -> None:
    config = sound(tmp_path, balanced(balance, sticky).replace('"/r"', '"/r/{doc}"'))
    found = compile_config(config, lambda: 0.0, ENVIRON).upstreams["u"]
    assert str(found.balance) == balance and (found.sessions is not None) is balance.startswith("sticky")

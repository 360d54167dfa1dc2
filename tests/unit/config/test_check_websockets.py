"""What `gateway check` says about routes that let connections change their protocol, as the line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, ROUTE, checked, sound

PAGES = 'origins = ["https://app.example.com"]'
COOKIE = BASE.replace("[jwt.main]\n", '[jwt.main]\nfrom = ["cookie:session"]\n')


def ws(table: str, base: str = BASE, route: str = ROUTE) -> str:
    return (
        f"{base}[policy.ws.websocket]\n{table}\n{route.replace('signed', 'signed' + chr(34) + ', ' + chr(34) + 'ws')}"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ws("upgrades = []"), 'policy.ws.websocket.upgrades: is empty, so nothing is let through; write ["websocket"]'),
        (
            ws('upgrades = ["h2c"]'),
            "policy.ws.websocket.upgrades: h2c would lead past this gateway's own rules; take it out",
        ),
        (
            ws('upgrades = ["a b"]'),
            "policy.ws.websocket.upgrades: 'a b' is no protocol; write a name such as \"websocket\"",
        ),
        (
            ws('subprotocols = ["a b"]'),
            "policy.ws.websocket.subprotocols: 'a b' is no subprotocol; write a name such as \"chat.v2\"",
        ),
        (
            ws('upgrades = ["tcp"]\nsubprotocols = ["a"]'),
            'policy.ws.websocket.subprotocols: only WebSocket has them; add "websocket" to upgrades, or take them out',
        ),
        (
            ws(PAGES, route=ROUTE.replace('"/r"', '"/r", methods = ["POST"]')),
            "route[0].match.methods: has no GET, with which every WebSocket begins; add it, or take the policy with websocket out",
        ),
        (
            ws('origins = ["*"]', COOKIE),
            'policy.ws.websocket.origins: lets every web page connect with its user\'s cookie; name the origins instead of "*"',
        ),
        (
            ws('origins = ["app.example.com"]'),
            'policy.ws.websocket.origins[0]: "app.example.com" is not an origin; write "https://HOST", or "*" for everyone',
        ),
    ],
)
def test_what_cannot_be_meant_is_a_problem(tmp_path: Path, text: str, line: str) -> None:
    assert [problem.removeprefix("gateway.toml: ") for problem in checked(tmp_path, text).problems] == [line]


def test_a_table_that_names_no_page_is_told_of_unless_that_is_written(tmp_path: Path) -> None:
    said = 'gateway.toml: policy.ws.websocket.origins: lets no web page connect; write origins = ["https://app.example.com"], or [] if none shall'
    assert said in checked(tmp_path, ws("")).notices
    assert said not in checked(tmp_path, ws("origins = []")).notices
    assert said not in checked(tmp_path, ws(PAGES)).notices


def test_an_edge_in_front_that_is_less_patient_is_told_of(tmp_path: Path) -> None:
    front = '[server.front]\nidle_timeout = "60s"\n'
    notices = checked(tmp_path, ws(PAGES) + front).notices
    assert any("websocket.idle_timeout: 75s never comes: front ends a connection" in line for line in notices)
    assert not any(
        "never comes" in line for line in checked(tmp_path, ws(PAGES + '\nidle_timeout = "50s"') + front).notices
    )


def test_a_cap_of_polls_counts_tunnels_and_may_end_the_oldest(tmp_path: Path) -> None:
    cap = '[[route.hold_cap]]\nmax = 2\non_excess = "evict-oldest"\n'
    sound(tmp_path, ws(PAGES) + cap)
    assert any("counts nothing" in line for line in checked(tmp_path, BASE + ROUTE + cap).problems)

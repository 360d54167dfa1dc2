"""Keys and values that a later version will know: each is refused as "not available in this version" where it stands,
on its own, and never silently accepted.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, JWT, ROUTE, UPSTREAM, checked

SERVER = "[server]\n"
P = "[policy.p."

LATER = [
    # the process
    ("server.fair_share", f"{SERVER}fair_share = true"),
    ("server.fair_share", f"{SERVER}fair_share = false"),
    # who calls, and where it goes
    ("jwt.x.keys.discovery", '[jwt.x]\nalgorithms = ["RS256"]\nkeys = { discovery = true }'),
    ("jwt.x.keys.jwks_url", '[jwt.x]\nalgorithms = ["RS256"]\nkeys = { jwks_url = "https://id/keys" }'),
    ("jwt.x.keys.jwks", '[jwt.x]\nalgorithms = ["RS256"]\nkeys = { jwks = "https://id/keys" }'),
    # policy kinds, alone and in lists, in a policy and on a route
    *((f"policy.p.{kind}", f"{P}{kind}]\nx = 1") for kind in ("coalesce", "repoll", "api_key", "subscription")),
    *((f"route[0].{kind}", f"{ROUTE}[route.{kind}]\nx = 1") for kind in ("coalesce", "repoll")),
    ("policy.p.headers[0].when_claims", f'[{P}headers]]\nwhen_claims = {{ tier = "gold" }}'),
]


@pytest.mark.parametrize(("key", "text"), LATER, ids=[f"{number}-{key}" for number, (key, _) in enumerate(LATER)])
def test_what_a_later_version_knows_is_refused_where_it_stands(tmp_path: Path, key: str, text: str) -> None:
    problems = checked(tmp_path, f"{BASE}{text}\n").problems
    assert len(problems) == 1, problems
    assert problems[0].startswith(f"gateway.toml: {key}: ")
    assert "available in this version" in problems[0]
    assert "; " in problems[0], "there is a remedy"


def test_what_is_refused_hides_nothing_else(tmp_path: Path) -> None:
    text = (
        f'{UPSTREAM}{JWT}[server]\nfair_share = true\ndrain = "40s"\n[state]\nurl = "etcd://h"\n[log]\nlevel = "loud"\n'
    )
    assert [line.split(": ")[1] for line in checked(tmp_path, text).problems] == [
        "server.fair_share",
        "state.url",
        "log.level",
        "server.drain",
    ]

"""What is loaded from a file: what only a restart can change is told, and which limits it counts under."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from gateway.loading import Built, build, for_a_restart
from gateway.policies.rate_limit import Screen
from gateway.state.memory import MemoryStore
from tests.kit.certificates import make_certificate

from .config.kit import UPSTREAM

HEAD = '[server]\nlisten = ["127.0.0.1:0"]\n'
ROUTE = '[[route]]\nname = "r"\nmatch = { path = "/" }\nupstream = "u"\n'
LIMITS = """
[[route.rate_limit]]
rate = "1/s"
per = "address"
[[route.rate_limit]]
rate = "1/s"
per = "header:X-Key"
[[route.hold_cap]]
max = 1
per = "route"
[[route.concurrency_cap]]
max = 1
per = "route"
"""
HOLD = '[route.hold]\nabsent = "10s"\nmax = "10s"\nempty = { answer = "origin" }\n'


def loaded(folder: Path, text: str = "", server: str = "", head: str = HEAD) -> Built:
    path = folder / "gateway.toml"
    path.write_text(f"{head}{server}\n{UPSTREAM}{ROUTE}{text}")
    return build(path, time.time, Screen(MemoryStore(), time.monotonic))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"server": 'drain = "7s"\nmax_connections = 9'}, []),
        ({"head": '[server]\nlisten = ["127.0.0.1:0", "127.0.0.1:7"]\n'}, ["server.listen"]),
        ({"server": 'vanished_after = "33s"'}, ["server.vanished_after"]),
        ({"text": '[admin]\nlisten = "127.0.0.1:9"\n'}, ["admin"]),
        ({"text": '[log]\ncalls = "file:other.jsonl"\n'}, ["log.calls"]),
        ({"text": '[log.rotate]\nkeep = "24h"\n'}, ["log.rotate"]),
        ({"text": '[log]\npeer = "none"\ncursor = false\nstart_of_hold = true\n'}, []),
        ({"text": '[log]\nlevel = "error"\n'}, []),
        ({"text": "[telemetry]\nsample = { news = 1 }\n"}, []),
        ({"text": "[telemetry]\ntrust_incoming = true\n"}, ["telemetry"]),
    ],
)
def test_what_is_open_already_changes_with_the_next_start(
    tmp_path: Path, change: dict[str, str], said: list[str]
) -> None:
    opened, new = loaded(tmp_path).config, loaded(tmp_path, **change).config
    expected = [f"{key}: has changed, which counts from the next start on" for key in said]
    assert for_a_restart(opened, new) == expected == for_a_restart(new, opened)


def test_other_certificates_count_at_once_and_a_first_one_with_the_next_start(tmp_path: Path) -> None:
    pairs = [make_certificate(tmp_path / name, "localhost") for name in ("one", "two")]
    one, two = (
        loaded(tmp_path, server=f'tls = {{ cert = "file:{pair.cert}", key = "file:{pair.key}" }}').config
        for pair in pairs
    )
    assert for_a_restart(one, two) == []
    for_plain = for_a_restart(loaded(tmp_path).config, one)
    assert [line.partition(":")[0] for line in for_plain] == ["server.tls"]


def test_every_kind_of_limit_is_counted_under_its_name(tmp_path: Path) -> None:
    assert loaded(tmp_path).limits == {}
    assert set(loaded(tmp_path, HOLD + LIMITS).limits) == {
        "route.r.rate_limit.address.0", "route.r.rate_limit.header:X-Key.0",
        "route.r.hold_cap.route.0", "route.r.concurrency_cap.route.0",
    }  # fmt: skip

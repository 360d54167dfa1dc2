"""What a replay class forbids, as a person reads it."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.holds.replay import EARLY, REPLAY

from .kit import BASE, ROUTE, checked

POLL = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "[policy.p.hold]\nabsent = '10s'\nmax = '10s'\n"
TEMPLATE = "empty = { answer = 'template', body = '[]' }\n"
LOSES = [name for name in REPLAY if name not in EARLY]
RATHER = '"cursor", "cursor-exclusive", "until-ack"'


@pytest.mark.parametrize("replay", EARLY)
def test_a_class_that_loses_nothing_may_be_answered_and_superseded(tmp_path: Path, replay: str) -> None:
    text = f"{POLL}{TEMPLATE}replay = '{replay}'\nconcurrency = 'newest-wins'\n"
    result = checked(tmp_path, text)
    assert (result.problems, result.notices) == ([], [])


@pytest.mark.parametrize("replay", LOSES)
def test_a_class_that_loses_news_is_not_answered_here(tmp_path: Path, replay: str) -> None:
    result = checked(tmp_path, f"{POLL}{TEMPLATE}replay = '{replay}'\n")
    said = (
        f'gateway.toml: policy.p.hold.empty.answer: is given by the gateway, but replay = "{replay}" says that what a lost '
        f'answer carried is gone; write answer = "origin", or one of {RATHER} for replay if nothing is lost'
    )
    assert (result.notices if replay == "never" else result.problems) == [said]


@pytest.mark.parametrize("replay", LOSES)
def test_a_class_that_loses_news_gives_way_to_nobody(tmp_path: Path, replay: str) -> None:
    result = checked(tmp_path, f"{POLL}replay = '{replay}'\nconcurrency = 'newest-wins'\n")
    said = (
        f'gateway.toml: policy.p.hold.concurrency: ends an older poll early, but replay = "{replay}" says that what its answer '
        f'carried would be gone; write "oldest-wins" or "session-fatal", or one of {RATHER} for replay'
    )
    assert result.problems == [said]


@pytest.mark.parametrize("replay", REPLAY)
@pytest.mark.parametrize("rule", ["many", "oldest-wins", "session-fatal"])
def test_every_other_rule_is_for_every_class(tmp_path: Path, rule: str, replay: str) -> None:
    assert checked(tmp_path, f"{POLL}replay = '{replay}'\nconcurrency = '{rule}'\n").problems == []


def test_a_wait_that_is_longer_than_every_hold_is_refused(tmp_path: Path) -> None:
    assert checked(tmp_path, f"{POLL}min_repoll = '10s'\n").problems == [
        "gateway.toml: policy.p.hold.min_repoll: 10s leaves nothing of the longest hold, 10s; write a shorter time"
    ]
    assert checked(tmp_path, f"{POLL}min_repoll = '2s'\n").problems == []


@pytest.mark.parametrize(
    ("key", "rule", "rest"),
    [
        (
            "consumer",
            "newest-wins",
            ', or a hold_cap with max = 1 and on_excess = "evict-oldest", which holds for all of them',
        ),
        (
            "consumer",
            "oldest-wins",
            ', or a hold_cap with max = 1 and on_excess = "reject", which holds for all of them',
        ),
        ("query:sid", "session-fatal", ""),
    ],
)
def test_what_several_workers_do_not_see_of_each_other_is_told(tmp_path: Path, key: str, rule: str, rest: str) -> None:
    poll = f"{POLL}replay = 'cursor'\nkey = '{key}'\nconcurrency = '{rule}'\n"
    assert checked(tmp_path, poll).notices == []
    shared = f"{poll}[server]\nworkers = 2\n[state]\nurl = 'shared://'\n"
    said = (
        f'gateway.toml: policy.p.hold.concurrency: "{rule}" holds among the polls that one worker has: a second poll on '
        "another connection may come to another worker, and is forwarded beside the first; write workers = 1 if the service "
        f"cannot bear that{rest}"
    )
    assert checked(tmp_path, shared).notices == [said]
    assert checked(tmp_path, shared.replace(rule, "many")).notices == []

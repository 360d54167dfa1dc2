"""What a second poll of the same poller meets, played beside the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.model import Event, Explanation
from gateway.explain.text import render

from .kit import asked, event, talking

BASE = """
when = []
absent = "20s"
replay = "cursor"
key = "query:sid"
loser = { status = 409, headers = { Content-Type = "application/json" }, body = '{"error":"conflict"}' }
empty = { answer = "template", status = 204 }
"""
NAME = "a second poll comes"


def second(story: Explanation) -> Event:
    return event(story, NAME)


@pytest.mark.parametrize(
    ("rule", "then", "outcome"),
    [
        ("newest-wins", 'it goes on, and this one ends: 409 Conflict ({"error":"conflict"}); recorded as superseded',
         "superseded"),
        ("oldest-wins", 'it is told 409 Conflict ({"error":"conflict"}); this one goes on', None),
        ("session-fatal", 'it waits until this one has ended; a third is told 409 Conflict ({"error":"conflict"})',
         None),
    ],
)  # fmt: skip
def test_each_rule_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, then: str, outcome: str | None
) -> None:
    story = asked(talking(tmp_path, monkeypatch, f'{BASE}concurrency = "{rule}"'), "/p?sid=1")
    found = second(story)
    assert found.then.startswith(then)
    assert found.outcome == outcome
    assert found.answer is not None and found.answer.status == 409
    assert NAME in render(story)


def test_where_many_may_poll_nothing_is_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + 'concurrency = "many"'), "/p?sid=1")
    assert NAME not in [each.name for each in story.events]


def test_who_does_not_say_who_he_is_meets_no_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + 'concurrency = "oldest-wins"'), "/p")
    assert second(story).then == "both are held, for the request does not say who polls"


def test_a_limit_full_of_the_first_is_not_asked_for_the_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown is the rule, not how full a cap is."""
    hold = BASE + 'concurrency = "newest-wins"\n[[route.hold_cap]]\nmax = 1\nper = "address"\n'
    assert second(asked(talking(tmp_path, monkeypatch, hold), "/p?sid=1")).outcome == "superseded"

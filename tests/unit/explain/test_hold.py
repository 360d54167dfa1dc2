"""What is said of a poll: the condition that decided, the wish, the grant, what shortened it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import Config
from gateway.explain.text import render

from .kit import POLL, configured, first_line, token, told


@pytest.mark.parametrize(
    ("url", "headers", "asked", "granted", "clamped_by", "deadline", "line"),
    [
        (POLL, (), None, 25.0, None, 31.5625, "GET /updates?last_event_id=41 HTTP/1.1"),
        (f"{POLL}&timeout=90", (), 90.0, 45.0, "max", 52.8125, "GET /updates?last_event_id=41&timeout=45 HTTP/1.1"),
        (f"{POLL}&timeout=.5", (), 0.5, 1.0, "min", 6.0625, "GET /updates?last_event_id=41&timeout=1 HTTP/1.1"),
        (f"{POLL}&timeout=x", (), None, 25.0, None, 31.5625, "GET /updates?last_event_id=41&timeout=25 HTTP/1.1"),
        ("/article", (), None, 25.0, None, 28.0, "GET /article HTTP/1.1"),
        ("/doc/7", (("Prefer", "wait=20"),), 20.0, 20.0, None, 25.0, "GET /v2/7 HTTP/1.1"),
        ("/doc/7", (("Prefer", "wait=200"),), 200.0, 60.0, "max", 65.0, "GET /v2/7 HTTP/1.1"),
    ],
)
def test_a_poll_shows_what_was_asked_granted_and_sent(
    config: Config, url: str, headers: Any, asked: Any, granted: float, clamped_by: Any, deadline: float, line: str
) -> None:
    story = told(config, url, *headers)
    assert story.verdict.result == "held"
    hold = story.hold
    assert hold is not None
    assert (hold.asked, hold.granted, hold.clamped_by, hold.deadline) == (asked, granted, clamped_by, deadline)
    assert (hold.granted or 0) + (hold.jitter or 0) + (hold.margin or 0) == hold.deadline
    assert first_line(story) == line


@pytest.mark.parametrize(
    ("url", "headers", "reason"),
    [
        ("/updates", (), "no, an ordinary call: `query:last_event_id present` does not hold"),
        (
            f"{POLL}&timeout=0",
            (),
            'no, an ordinary call: a wish of 0 or less means that here (zero, negative = "none")',
        ),
        ("/doc/7", (("Prefer", "wait=x"),), 'no, an ordinary call: its wish cannot be read, and absent = "none"'),
        ("/article", (), "yes: `when` is empty, so every request of the route is"),
        (POLL, (), "yes: everything in `when` holds"),
    ],
)
def test_the_condition_that_decided_is_named(config: Config, url: str, headers: Any, reason: str) -> None:
    story = told(config, url, *headers)
    assert story.hold is not None
    assert story.hold.reason == reason
    assert story.verdict.result == ("held" if reason.startswith("yes") else "forwarded")


def test_every_line_of_a_nested_condition_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    when = '\n[policy.nested.hold]\nabsent = "5s"\nwhen = { any = ["query:a present", { not = "method == GET" }] }\n'
    config = configured(tmp_path, monkeypatch, when, **{"article-updates": 'policies = ["nested"]'})
    story = told(config, "/article?a=1")
    assert story.hold is not None
    assert [(each.text, each.holds, each.depth) for each in story.hold.conditions] == [
        ("any:", True, 0), ("query:a present", True, 1), ("not:", False, 1), ("method == GET", True, 2),
    ]  # fmt: skip


def test_a_token_near_its_end_shortens_the_hold(config: Config) -> None:
    story = told(config, f"{POLL}&timeout=40", bearer=token(config, ttl=1))
    hold = story.hold
    assert hold is not None
    assert (hold.clamped_by, hold.deadline, hold.unlimited) == ("token", 31.0, 40.0)
    assert [(limit.name, limit.seconds) for limit in hold.limits] == [("token", 31.0)]
    assert first_line(story).endswith("timeout=24 HTTP/1.1")
    assert "granted       24.471 s, clamped by token (alone it would be 40 s)" in render(story)


def test_a_token_that_ends_too_soon_is_refused_by_the_hold_not_by_a_step(config: Config) -> None:
    story = told(config, POLL, bearer=token(config, ttl=-26))
    assert (story.verdict.result, story.verdict.slug) == ("refused", "token_expired")
    assert [step.status for step in story.admission] == [None]
    assert not story.as_if_admitted
    assert story.forwarded is None
    assert story.events == ()


def test_a_wish_that_the_dialect_rejects_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = 'policies = ["prefer-wait"]\nhold = { over_max = "reject" }'
    config = configured(tmp_path, monkeypatch, **{"prefer-wait": route})
    story = told(config, "/doc/7", ("Prefer", "wait=61"))
    assert (story.verdict.result, story.verdict.slug) == ("refused", "hold_too_long")
    assert story.hold is not None
    assert story.hold.reason == 'yes, but it asks for more than max, and over_max = "reject"'

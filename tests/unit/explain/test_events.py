"""The clocks of a call, and what happens when one runs out or somebody leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.settings import Config

from .kit import POLL, asked, configured, event, talking, told


@pytest.mark.parametrize(
    ("url", "headers", "outcome", "status", "largest"),
    [
        (POLL, (), "overrun", 200, 51.671),
        ("/article", (), "upstream_timeout", 504, 26.9),
        ("/doc/7", (("Prefer", "wait=9"), ("If-None-Match", '"v"')), "overrun", 304, 64.9),
        ("/doc/7", (("Prefer", "wait=9"), ("If-None-Match", "*")), "upstream_timeout", 504, 64.9),
    ],
)
def test_a_silent_upstream_meets_our_deadline_first(
    config: Config, url: str, headers: Any, outcome: str, status: int, largest: float
) -> None:
    story = told(config, url, *headers)
    silent, race = event(story, "upstream silent"), story.race
    assert silent.answer is not None
    assert (silent.outcome, silent.answer.status) == (outcome, status)
    assert race is not None
    assert (race.first, race.because, race.warning) == ("our deadline", "client_timeout", None)
    assert race.largest_hold == pytest.approx(largest, abs=0.001)


def test_the_third_silence_in_a_row_is_a_504(config: Config) -> None:
    third = event(told(config, POLL), "silent 3 times")
    assert (third.outcome, third.blame) == ("upstream_timeout", "upstream")


def test_an_ordinary_call_has_the_response_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = told(configured(tmp_path, monkeypatch), "http://a.example.org/plain/x", method="POST", peer="10.0.0.1")
    assert story.race is not None
    assert (story.race.first, story.race.seconds, story.race.largest_hold) == ("response_timeout", 30.0, None)
    assert event(story, "upstream silent").outcome == "upstream_timeout"


def test_a_client_that_gives_up_before_us_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = 'policies = ["prefer-wait"]\nhold = { client_timeout = "62s" }'
    story = told(configured(tmp_path, monkeypatch, **{"prefer-wait": route}), "/doc/7", ("Prefer", "wait=60"))
    assert story.race is not None
    assert story.race.first == "client_timeout"
    assert story.race.warning == (
        "client_timeout is over no later than our deadline, 65 s; grant at most 56.9 s, or lengthen client_timeout"
    )


def test_the_edge_in_front_is_a_limit_and_a_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    front = '[server.front]\nname = "alb"\nidle_timeout = "66s"\n'
    story = told(configured(tmp_path, monkeypatch, front), POLL)
    assert story.hold is not None
    assert [(limit.name, limit.seconds) for limit in story.hold.limits] == [("token", 3630.0), ("front alb", 66.0)]
    assert {"front alb", "client_timeout", "upstream due"} < {clock.name for clock in story.clocks}


@pytest.mark.parametrize(
    ("url", "outcome", "replayed", "text"),
    [
        (
            POLL,
            "upstream_reset",
            True,
            "say after 4 s: sent once more, to another endpoint with 21.235 s left of the hold; lost again: 502",
        ),
        ("/article", "upstream_reset", False, "not sent again: 502"),
        ("/updates", "upstream_reset", False, "not sent again: 502"),
    ],
)
def test_a_lost_upstream_is_replayed_only_where_the_dialect_lets_it(
    config: Config, url: str, outcome: str, replayed: bool, text: str
) -> None:
    lost = event(told(config, url), "upstream lost")
    assert (lost.outcome, lost.replayed) == (outcome, replayed)
    assert lost.then.startswith(text)


@pytest.mark.parametrize(
    ("url", "drain", "outcome", "text"),
    [
        (POLL, "25s", "drained", "at an instant within 20 s of a window of 25 s: 200 OK ([]), Connection: close"),
        (
            "/article",
            "25s",
            "drained",
            "runs on for 25 s, the whole window; then 503 Service Unavailable (draining), Retry-After: 1 to 29",
        ),
        ("/article", "29s", None, "runs on to its own end, 28 s, inside the window of 29 s"),
        ("/updates", "4s", "drained", "runs on for 4 s, the whole window; then 503"),
    ],
)
def test_a_drain_ends_what_may_be_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, drain: str, outcome: str | None, text: str
) -> None:
    found = event(told(configured(tmp_path, monkeypatch, f'[server]\ndrain = "{drain}"\n'), url), "drain")
    assert found.outcome == outcome
    assert found.then.startswith(text)


@pytest.mark.parametrize(("url", "outcome"), [(POLL, "evicted"), ("/article", None)])
def test_only_a_poll_with_a_template_can_be_evicted(config: Config, url: str, outcome: str | None) -> None:
    evicted = event(told(config, url), "evicted")
    assert evicted.outcome == outcome and (outcome is None) == evicted.then.startswith("cannot be: only the upstream")


def test_a_client_that_leaves_frees_its_upstream(config: Config) -> None:
    left = event(told(config, POLL), "client leaves")
    assert (left.outcome, left.then) == (
        "client_gone", "the upstream connection is reset at once; recorded as client_gone, blame downstream",
    )  # fmt: skip


def test_an_answer_that_begins_before_there_is_news_is_held_to_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = 'when = []\nabsent = "20s"\nempty = { answer = "never" }\n'
    plain = asked(talking(tmp_path, monkeypatch, hold))
    assert "answer begins, then silence" not in [each.name for each in plain.events]
    story = asked(talking(tmp_path, monkeypatch, hold + "early_headers = true"))
    found = event(story, "answer begins, then silence")
    assert found.then.startswith("the answer that the client has of it is broken off after 25 s")
    assert found.outcome == "truncated"

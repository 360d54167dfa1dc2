"""Every clock of a call, where its number comes from, and which of them comes first."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.checking import check_file
from gateway.explain.text import render

from .kit import ENVIRON, POLL, asked, configured, talking, told

SHORT = {"prefer-wait": "policies = []"}  # its polls are too long for most edges


def clocks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, server: str, url: str = POLL
) -> dict[str, tuple[object, str]]:
    story = told(configured(folder, monkeypatch, f"[server]\n{server}\n", **SHORT), url)
    return {clock.name: (clock.seconds, clock.origin) for clock in story.clocks}


def test_every_clock_is_there_with_where_its_number_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = clocks(tmp_path, monkeypatch, 'front = "aws-alb"\nshutdown_delay = "2s"')
    shipped = "policy cursor-updates (shipped cursor-updates.toml)"
    assert found == {
        "upstream due": (26.5625, "granted + jitter"),
        "our deadline": (31.5625, "granted + jitter + margin"),
        "response_timeout": (30.0, "default"),
        "client_timeout": (60.0, shipped),
        "front aws-alb": (60.0, "server.front"),
        "connect_timeout": (2.0, "default"),
        "body_idle_timeout": (60.0, "default"),
        "keepalive": (4.0, "default"),
        "shutdown_delay": (2.0, "server.shutdown_delay"),
        "drain": (25.0, "server.drain"),
        "stop_grace": (30.0, "server.stop_grace"),
    }


def test_an_edge_without_a_name_is_just_the_front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = clocks(tmp_path, monkeypatch, 'front = "66s"')
    assert found["front"] == (66.0, "server.front")
    assert "shutdown_delay" not in found


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ('"aws-alb"', "its connection was idle for so long: it says 504; recorded as client_gone"),
        ('"cloudflare"', "no answer began: it says 524; recorded as client_gone"),
        ('{ name = "heroku", idle_timeout = "90s" }', "no answer began: it says 503 (H12); recorded as client_gone"),
        ('"66s"', "it answers instead, often 504; recorded as client_gone"),
    ],
)
def test_what_an_edge_does_is_told_in_words_that_fit_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str, words: str
) -> None:
    story = told(configured(tmp_path, monkeypatch, f"[server]\nfront = {front}\n", **SHORT), POLL)
    (edge,) = (clock for clock in story.clocks if clock.name.startswith("front"))
    assert edge.then == words
    assert words in " ".join(render(story).split())


@pytest.mark.parametrize(
    ("front", "because", "largest"),
    [
        ("", "client_timeout", 51.671),
        ('front = "aws-alb"', "front aws-alb", 50.824),
        ('front = "2m"', "client_timeout", 51.671),
    ],
)
def test_explain_and_check_tell_the_same_largest_safe_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, front: str, because: str, largest: float
) -> None:
    race = told(configured(tmp_path, monkeypatch, f"[server]\n{front}\n", **SHORT), POLL).race
    assert race is not None
    assert (race.first, race.because, race.warning) == ("our deadline", because, None)
    assert race.largest_hold == pytest.approx(largest, abs=0.001)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    lines, _ = check_file(tmp_path / "gateway.toml")
    (line,) = (each for each in lines if each.startswith("route updates: "))
    assert f"safe up to {int(largest * 10) / 10:g}s: {because} " in line


def test_an_ordinary_call_that_the_edge_answers_first_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    route = 'policies = ["inside"]\nresponse_timeout = "60s"'
    config = configured(tmp_path, monkeypatch, '[server]\nfront = "60s"\n', **{
        "inside": route, "prefer-wait": 'policies = ["inside"]',
    })  # fmt: skip
    story = told(config, "http://a.example.org/plain/x", method="POST")
    assert story.race is not None
    assert (story.race.first, story.race.largest_hold) == ("front", None)
    assert story.race.warning == (
        "front is over no later than response_timeout, 60 s; shorten response_timeout, or lengthen front"
    )


def test_whoever_polls_without_an_end_does_not_give_up_after_client_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(tmp_path, monkeypatch, **{"article-updates": 'policies = ["couchdb-changes"]'})
    bounded = told(config, "http://api.example.com/article?feed=longpoll&since=7&timeout=9000")
    endless = told(config, "http://api.example.com/article?feed=longpoll&since=7&timeout=9000&heartbeat=9000")
    assert bounded.race is not None and endless.race is not None
    assert bounded.race.because == "client_timeout"
    assert (endless.race.first, endless.race.because, endless.race.warning) == ("our deadline", None, None)
    assert "client_timeout" not in {clock.name for clock in endless.clocks}
    assert endless.hold is not None
    assert endless.hold.absent == float("inf")


@pytest.mark.parametrize(("more", "first"), [(0.0, "our deadline"), (0.001, "client_timeout")])
def test_the_largest_hold_that_is_called_safe_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: float, first: str
) -> None:
    clocks = 'absent = "none"\nover_max = "pass"\nmargin = "5s"\njitter = { span = "0s" }\nclient_timeout = "30s"\n'
    config = talking(
        tmp_path, monkeypatch, clocks + 'ask = [{ in = "query", name = "wait", unit = "ms" }]\nmax = "20s"'
    )
    race = asked(config, "/p?wait=9000").race
    assert race is not None and race.largest_hold is not None
    race = asked(config, f"/p?wait={(race.largest_hold + more) * 1000:.0f}").race
    assert race is not None and race.first == first

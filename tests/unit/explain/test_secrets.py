"""What an explanation never shows."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.config.settings import Config
from gateway.explain.text import render

from ..config.kit import JWT, SECRET
from .kit import KEY, POLL, asked, configured, says, talking, token, told


@pytest.mark.parametrize("url", [f"{POLL}&timeout=9", "/article", "/nowhere", "/a/../b"])
def test_no_secret_is_printed(config: Config, url: str) -> None:
    bearer = token(config)
    story = told(config, url, ("Cookie", "sid=chocolate"), bearer=bearer, every=True)
    for text in (render(story), orjson.dumps(story).decode()):
        assert all(
            secret not in text for secret in (bearer, bearer[-20:], KEY, SECRET, "plain-but-telling", "chocolate")
        )
    if story.forwarded is not None:
        assert {"X-Api-Key: ***", "X-Auth: ***", "X-Served-By: gateway", "Cookie: ***"} < set(story.forwarded.lines)


def test_credentials_that_are_forwarded_keep_only_their_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = '[upstream.w]\nendpoints = "http://127.0.0.1:1"\nforward_authorization = true\n[[route]]\nname = "w"\nmatch = { path = "/w" }\nupstream = "w"\n'
    story = told(configured(tmp_path, monkeypatch, more), "http://any/w")
    assert story.forwarded is not None
    assert "Authorization: Bearer ***" in story.forwarded.lines


@pytest.mark.parametrize(
    ("place", "target"), [("query:t", "/bot/x?t={}&last_event_id=1"), ("path:key", "/bot/{}?last_event_id=1")]
)
def test_a_token_in_the_target_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, target: str
) -> None:
    more = f'[jwt.bot]\nfrom = ["{place}"]\n' + JWT.split("\n", 1)[1]
    more += '[[route]]\nname = "bot"\nmatch = { path = "/bot/{key}" }\nupstream = "u"\npolicies = ["cursor-updates"]\njwt = { provider = "bot" }\n'
    config = configured(tmp_path, monkeypatch, more)
    bearer = token(config)
    story = told(config, "http://h" + target.format(bearer), bearer=None)
    assert story.verdict.result == "held"
    for text in (render(story), orjson.dumps(story).decode()):
        assert bearer not in text
    assert story.target == target.format("***")


def test_a_place_that_the_dialect_calls_secret_is_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = 'policies = ["prefer-wait"]\nhold = { secret = ["path:id", "query:key", "header:X-Odd"] }'
    config = configured(tmp_path, monkeypatch, **{"prefer-wait": route})
    story = told(config, "/doc/hush?key=hush&a=b", ("X-Odd", "hush"))
    assert "hush" not in render(story)
    assert story.target == "/doc/***?key=***&a=b"


BOT = """
[[route]]
name = "bot"
match = { host = "h", path = "/bot{token}/getUpdates" }
upstream = "u"
policies = ["cursor-updates"]
hold = { secret = ["path:token"] }
"""
REST = '[[route]]\nname = "rest"\nmatch = { host = "h", path = "/**" }\nupstream = "u"\n'


@pytest.mark.parametrize("rewrite", ["", 'rewrite = "/v2/t-{token}/y"'])
@pytest.mark.parametrize("token", ["123:abcdef", "x"])
def test_a_secret_inside_a_part_of_the_path_is_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rewrite: str, token: str
) -> None:
    config = configured(tmp_path, monkeypatch, BOT.replace("policies", f"{rewrite}\npolicies"))
    story = told(config, f"http://h/bot{token}/getUpdates?last_event_id=1", ("Referer", f"/bot{token}"), bearer=None)
    assert story.target == "/bot***/getUpdates?last_event_id=1" and story.forwarded is not None
    path = "/v2/t-***/y" if rewrite else "/bot***/getUpdates"
    assert story.forwarded.lines[0].startswith(f"GET {path}?last_event_id=1")
    assert token == "x" or token not in render(story)


@pytest.mark.parametrize("more", [BOT, BOT + REST])
@pytest.mark.parametrize("path", ["/bot123:abcdef/getUpdatez", "/v1/BOT123:abcdef/getUpdates"])
def test_a_misspelt_path_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, path: str) -> None:
    story = told(configured(tmp_path, monkeypatch, more), f"http://h{path}", bearer=None)
    assert story.target.lower().endswith("/bot***") and "123" not in render(story)


def test_nothing_a_client_sends_can_steer_a_terminal(config: Config) -> None:
    story = told(config, "/article", ("X-A", "\x9b31m\u202e"))
    assert story.forwarded is not None
    assert all(line.isprintable() for line in story.forwarded.lines)


def test_a_secret_that_is_escaped_in_the_path_is_hidden_in_plain_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, plain = "http://h/bot123%20abcdef/getUpdates?last_event_id=1", "/bot123 abcdef, 123 abcdef"
    story = told(configured(tmp_path, monkeypatch, BOT), url, ("Referer", plain), bearer=None)
    assert story.forwarded is not None and "Referer: /bot***, ***" in story.forwarded.lines


@pytest.mark.parametrize(
    ("key", "field", "secret"),
    [
        ("cookie:sid", ("Cookie", "sid=hush"), "[]"),
        ("header:authorization", ("Authorization", "hush"), "[]"),
        ("header-item:X-Odd/a", ("X-Odd", "a=hush"), '["header:X-ODD"]'),
        ("form:token", ("X-Odd", "seen"), '["form:token"]'),
    ],
)
def test_who_polls_is_told_by_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, field: tuple[str, str], secret: str
) -> None:
    hold = f'absent = "5s"\nover_max = "pass"\nkey = "{key}"\nsecret = {secret}'
    form = ("Content-Type", "application/x-www-form-urlencoded")
    story = asked(talking(tmp_path, monkeypatch, hold), "/p", field, form, data="token=hush&a=b")
    assert says(story, "poller") == [f"*** in {key}"]
    assert key != "form:token" or "hush" not in render(story)

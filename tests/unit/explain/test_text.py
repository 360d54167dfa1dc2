"""Where each value was written, and how all of it is laid out."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.settings import Config
from gateway.explain.text import WIDTH, render

from .kit import POLL, configured, told, width


def test_each_value_says_where_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    route = 'policies = ["prefer-wait"]\nresponse_timeout = "9s"\nhold = { max = "30s" }\nheaders = { request = { set = { X-Key = "env:KEY", X-B = "b" } } }'
    config = configured(tmp_path, monkeypatch, **{"prefer-wait": route})
    found = {each.key: (each.value, each.origin) for each in told(config, "/doc/1").settings}
    assert found["hold.max"] == ('"30s"', "route")
    assert found["hold.when"] == (
        '["method == GET", "header-item:Prefer/wait present"]',
        "policy prefer-wait (shipped prefer-wait.toml)",
    )
    assert found["hold.absent"] == ('"none"', "policy prefer-wait (shipped prefer-wait.toml)")
    assert found["headers[0]"] == ('{ request = { set = { X-Key = "env:KEY", X-B = "b" } } }', "route")
    assert found["response_timeout"] == ('"9s"', "route")
    assert "connect_timeout" not in found
    every = {each.key: each.origin for each in told(config, "/doc/1", every=True).settings}
    assert every["connect_timeout"] == every["hold.early_headers"] == "default"


def test_the_policies_are_named_in_order_with_what_they_bring(config: Config) -> None:
    route = told(config, POLL).route
    assert route is not None
    assert [(each.name, each.kinds) for each in route.policies] == [
        ("cursor-updates", ("hold",)), ("signed", ("jwt",)), ("web", ("cors",)),
    ]  # fmt: skip


def test_names_of_endpoints_are_said_to_be_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    named = """
[upstream.named]
endpoints = ["http://a.internal:5000", "http://a.internal:5001", "http://10.0.0.1", "http://localhost"]
dns_refresh = "5s"
[[route]]
name = "named"
match = { host = "named", path = "/" }
upstream = "named"
"""
    story = told(configured(tmp_path, monkeypatch, named), "http://named/", bearer=None)
    assert story.route is not None and story.route.names == ("a.internal",)
    assert "a.internal: looked up every 5 s, each address is an endpoint" in render(story)
    assert "looked up" not in render(told(config, POLL))


def test_one_request_explains_the_same_every_time(config: Config) -> None:
    assert told(config, POLL) == told(config, POLL)


def test_the_text_has_its_sections_in_order_and_fits(config: Config) -> None:
    text = render(told(config, f"{POLL}&timeout=90", every=True))
    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[2:] == [
        "Result", "Route", "Admission", "Hold", "What its dialect says", "Forwarded request",
        "Clocks, counted from the request's arrival", "What may happen", "Settings",
    ]  # fmt: skip
    assert width(text, config) <= WIDTH
    assert "  deadline      45 s + jitter 2.812 s + margin 5 s = 52.812 s" in text.splitlines()
    assert "  held        45 s granted, ended by us after 52.812 s at the latest" in text.splitlines()

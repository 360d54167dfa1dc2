"""How explain tells what takes an endpoint out."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.text import render
from gateway.explain.watched import watched_by

from ..config.kit import BASE, sound
from .kit import POLL, configured, told

EJECTS = "an endpoint where 5 calls in a row fail within 10 s takes none for 30 s; at most 1 of 2 at once"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("endpoints = 'http://a'", ()),
        ("endpoints = ['http://a', 'http://b']", (EJECTS,)),
        ("endpoints = ['http://a', 'http://b']\nejection = false", ()),
        (
            ("endpoints = ['http://a', 'http://b', 'http://c', 'http://d']\n"
            "ejection = { strikes = 3, within = '1m', for = '5s', max_share = 1.0, status = [502, 503] }"),
            (("an endpoint where 3 calls in a row fail, or are answered 502, 503, within 60 s takes none for 5 s; "
             "at most 3 of 4 at once"),),
        ),
        (
            "endpoints = 'http://a'\nhealth = { path = '/up', status = [200, 204] }",
            ("GET /up every 5 s: 3 in a row without 200, 204 within 1 s take an endpoint out, 2 with it bring it back",),  # noqa: E501
        ),
    ],
)  # fmt: skip
def test_it_is_told_in_sentences(tmp_path: Path, table: str, said: tuple[str, ...]) -> None:
    assert watched_by(sound(tmp_path, f"{BASE}[upstream.x]\n{table}\n").upstreams["x"]) == said


def test_it_stands_below_the_upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = told(configured(tmp_path, monkeypatch), f"http://api.example.com{POLL}")
    assert story.route is not None and story.route.watched == (EJECTS,)
    assert "where 5 calls in a row fail" in " ".join(render(story).split())

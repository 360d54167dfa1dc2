"""Which endpoint an explained request goes to, and why that one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.settings import Config
from gateway.explain.text import render

from ..config import kit
from .kit import ENVIRON, WHOLE, told

STICKY = 'sticky:query.sid"\nsticky = { id = "json:/sid" }\n# "'


def written(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Config:
    for name, value in ENVIRON.items():
        monkeypatch.setitem(kit.ENVIRON, name, value)
    return kit.sound(folder, text)


@pytest.mark.parametrize(
    ("balance", "target", "words"),
    [
        ("least-held", "/article", " first, when none is busier"),
        ("round-robin", "/article", " first, the next call to the next one"),
        ("random-two", "/article", ", say: two are drawn by lot"),
        ("hash:query.doc", "/article?doc=7", ", as every call with the same value for hash:query.doc"),
        ("hash:query.doc", "/article", " first, when none is busier"),
        ("hash:consumer", "/article", ", as every call with the same value for hash:consumer"),
        (STICKY, "/article?sid=s1", ", unless its session is known to be at another"),
        (STICKY, "/article", " first, when none is busier; its answer may begin a session, which stays there"),
    ],
)
def test_the_endpoint_and_why_it_is_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balance: str, target: str, words: str
) -> None:
    config = written(tmp_path, monkeypatch, WHOLE.replace("round-robin", balance))
    stories = [told(config, target, bearer=None) for _ in range(3)]
    places = {story.forwarded.endpoint for story in stories if story.forwarded is not None}
    assert len(places) == 1 or balance == "random-two", "the same request is explained alike"
    assert [f"  to {place}{words}" in render(stories[-1]) for place in places].count(True) == 1


def test_one_endpoint_needs_no_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = WHOLE.replace(', "http://127.0.0.1:5001"', "")
    config = written(tmp_path, monkeypatch, alone)
    assert "  to 127.0.0.1:5000\n" in render(told(config, "/article", bearer=None))

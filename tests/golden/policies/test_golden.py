"""Every shipped policy on given requests: exactly this ask, deadline, forwarded request, verdict on an answer, no-news
answer, end at a drain, repetition, second poll and refusal. The data stand beside this file, one for each policy.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden.policies.play import ASPECTS, PARTS, Case
from tests.golden.policies.shelf import NAMES

HERE = Path(__file__).parent
# What every policy must show at least once. `poll` must be seen both ways, unless every request is one.
EVERYWHERE = {
    "poll", "asked", "granted", "clamped_by", "deadline", "forwarded", "answers", "no_news", "silent", "drain", "lost",
    "key", "second", "refusals",
}  # fmt: skip
REFUSALS = {"401", "403", "429", "503"}


def data(name: str) -> list[Case]:
    path = HERE / f"{name}.toml"
    cases: list[Case] = tomllib.loads(path.read_text("utf-8"))["case"] if path.is_file() else []
    return cases


CASES = [(name, case) for name in NAMES for case in data(name)]


@pytest.fixture(autouse=True)
def _no_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn by lot (the instant of a drain, a Retry-After) comes out in the middle."""
    monkeypatch.setattr(random, "random", lambda: 0.5)


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['name']}" for name, case in CASES])
def test_the_policy_does_just_this(name: str, case: Case) -> None:
    wanted = {aspect: value for aspect, value in case.items() if aspect not in PARTS}
    found = {aspect: ASPECTS[aspect](name, case) for aspect in wanted}
    assert found == wanted


@pytest.mark.parametrize("name", NAMES)
def test_every_aspect_of_a_policy_is_shown(name: str) -> None:
    cases = data(name)
    assert EVERYWHERE - {aspect for case in cases for aspect in case} == set()
    assert {status for case in cases for status in case.get("refusals", ())} >= REFUSALS
    assert set(verdicts(cases)) >= {"news", "empty"}
    assert set(verdicts(cases)) & {"answered", "upstream_error"}, "no answer that is an error"


def verdicts(cases: list[Case]) -> Iterator[Any]:
    return (answer["is"] for case in cases for answer in case.get("answers", ()))


def test_no_case_is_about_a_policy_that_is_not_there() -> None:
    assert {path.stem for path in HERE.glob("*.toml")} <= set(NAMES)

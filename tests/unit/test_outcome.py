"""The closed list of endings: every one has a row that says who is to blame, and the rows make sense together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway import parse, refusals
from gateway.outcome import ENDINGS, Blame, Outcome, Sign
from gateway.pipeline import Refusal
from gateway.upstream import failure

MADE_HERE = [
    (name, value) for module in (refusals, failure, parse) for name,
    value in vars(module).items() if isinstance(value, Refusal)
]  # fmt: skip


def test_every_outcome_has_its_ending() -> None:
    assert set(ENDINGS) == set(Outcome)


@pytest.mark.parametrize("outcome", Outcome)
def test_an_ending_is_consistent(outcome: Outcome) -> None:
    ending = ENDINGS[outcome]
    assert ending.share in ("news", "empty", "error")
    assert ending.level in ("info", "notice", "warning", "error")
    charged = ending.sign in (Sign.STRIKE, Sign.OVERRUN)
    assert not charged or ending.blame is Blame.UPSTREAM, "nobody is charged for what others did"
    assert ending.sign is Sign.NOTHING or ending.blame in (Blame.UPSTREAM, Blame.NONE)
    assert (ending.level == "error") == (outcome is Outcome.INTERNAL_ERROR)
    assert re.fullmatch("[a-z_]+", outcome.value) and outcome.value == outcome.name.lower()


@pytest.mark.parametrize("name", ["BLANK", "EMPTY", "NEWS", "CLIENT_GONE", "EVICTED", "DRAINED", "EXPIRED", "OVERRUN",
    "UPSTREAM_ERROR"])  # fmt: skip
def test_what_is_normal_for_a_poll_is_no_strike(name: str) -> None:
    assert ENDINGS[Outcome[name]].sign is not Sign.STRIKE


@pytest.mark.parametrize("name", ["BLANK", "CLIENT_GONE", "CLIENT_TIMEOUT", "EVICTED", "SUPERSEDED", "DRAINED",
    "EXPIRED", "REVOKED", "OVERLOADED", "INTERNAL_ERROR"])  # fmt: skip
def test_what_the_endpoint_has_no_part_in_says_nothing_of_it(name: str) -> None:
    assert ENDINGS[Outcome[name]].sign is Sign.NOTHING


@pytest.mark.parametrize("name", ["BLANK", "CLIENT_GONE", "EVICTED", "SUPERSEDED", "DRAINED"])
def test_quiet_endings_are_no_errors(name: str) -> None:
    assert ENDINGS[Outcome[name]].share == "empty" and ENDINGS[Outcome[name]].level in ("info", "notice")


@pytest.mark.parametrize(("name", "refusal"), MADE_HERE, ids=lambda value: value if isinstance(value, str) else "")
def test_every_refusal_has_one_style_of_slug_and_a_sentence(name: str, refusal: Refusal) -> None:
    assert re.fullmatch("[a-z0-9]+(_[a-z0-9]+)*", refusal.slug)
    assert refusal.detail.endswith(".") and refusal.detail[0].isupper()
    assert 400 <= refusal.status <= 599
    assert (refusal.status >= 500) == (ENDINGS[refusal.outcome].blame is not Blame.DOWNSTREAM) or refusal.status in (
        501,
        505,
    )


def test_nothing_else_invents_an_ending() -> None:
    gateway = Path(parse.__file__).parent
    used = {
        name for file in gateway.rglob("*.py") for name in re.findall(r"Outcome\.([A-Z_]+)", file.read_text("utf-8"))
    }
    assert used <= {outcome.name for outcome in Outcome}

"""The table of replay classes: whole, consistent, and the one that people read."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from gateway.config.schema import Hold
from gateway.holds.replay import REPLAY, Replay

PAGE = Path(__file__).parents[3] / "docs" / "holds.md"
HEADS = ("may be sent again", "may be ended early", "may be shared", "needs a fresh connection")


def test_every_class_that_can_be_written_has_its_row() -> None:
    assert set(REPLAY) == set(get_args(Hold.model_fields["replay"].annotation))


def test_the_page_shows_the_same_table() -> None:
    def row(name: str, rights: Replay) -> str:
        return f"| `{name}` | {' | '.join('yes' if right else 'no' for right in rights)} |"

    lines = [f"| `replay` | {' | '.join(HEADS)} |", "|---|---|---|---|---|", *(row(*each) for each in REPLAY.items())]
    assert "\n".join(lines) in PAGE.read_text("utf-8")


@pytest.mark.parametrize("rights", REPLAY.values())
def test_what_may_be_had_twice_may_be_ended_and_what_may_be_shared_may_be_had_twice(rights: Replay) -> None:
    assert rights.early or not rights.again
    assert rights.again or not rights.shared
    assert rights.fresh is not rights.again, "what cannot be repeated must not be lost with an old connection"

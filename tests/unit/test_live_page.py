"""What docs/live.md says of parameters, fields and keys, held against the code."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.admin.listing import SORTS, Listing
from gateway.admin.live import describe
from gateway.past.worker import _KEYS as QUESTIONS
from gateway.top.screen import ROWS, Top
from gateway.top.view import COLUMNS
from tests.kit.serving import Scene

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "live.md").read_text("utf-8")


def names(title: str, column: int = 0) -> set[str]:
    """Everything in backquotes in a column of the tables whose first title this is."""
    tables = re.findall(rf"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    cells = [row.strip("|").split(" | ")[column] for table in tables for row in table.splitlines()]
    return {name for cell in cells for name in re.findall("`([^`]+)`", cell)}


def test_every_parameter_of_the_list_is_explained_and_no_other() -> None:
    assert names("parameter") == set(Listing.model_fields)
    sorts = next(line for line in PAGE.splitlines() if line.startswith("| `sort` |"))
    assert set(SORTS) <= set(re.findall("`([^`]+)`", sorts))


def test_every_field_of_a_call_is_explained() -> None:
    assert set(describe(Scene("template").open().call, 0.0)) <= names("field")


def test_every_parameter_of_past_calls_is_explained_and_no_other() -> None:
    ours = {"ask", "log", "memory", "threads"}
    assert names("page", 1) == set().union(*QUESTIONS.values()) - ours


def test_every_key_of_top_is_explained() -> None:
    keys = names("key")
    told = {"/": "slash", "?": "question_mark"}
    bound = {binding.key for binding in Top.BINDINGS if not isinstance(binding, tuple)} - {"escape", "ctrl+c"}
    assert {told.get(key, key) for key in keys if key not in ("1", str(len(COLUMNS)))} == {
        key for key in bound if not key.isdigit()
    }
    assert f"`1` to `{len(COLUMNS)}`" in PAGE
    assert f"the first {ROWS} of what matches" in PAGE

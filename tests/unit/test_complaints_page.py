"""docs/complaints.md: no complaint is missing, and every test and option that is said to answer one is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.config.jsonschema import document_schema
from tests.kit.source import parsed

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "complaints.md").read_text("utf-8")
ITEMS = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
EXPECTED = [*range(1, 23), *range(28, 37), *range(43, 53), 57, *range(70, 77)]
SOURCE = re.compile(r"[\w.-]+/[\w.-]+#\d+|PR#\d+|MR \d+|(?:devcenter\.heroku|frontrowed)\.com")


@cache
def functions_of(file: str) -> set[str]:
    nodes = parsed(ROOT / file).body
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def cited(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)


def options(text: str) -> list[str]:
    """Keys as they are written there: table and key, such as `hold.max`."""
    return [one for one in re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", text) if not one.endswith(".py")]


def is_key(dotted: str) -> bool:
    """Whether a table of the configuration, or a policy's or a route's, has that key; of a later version does not."""
    schema = document_schema()
    table, *keys = dotted.split(".")
    found: Any = {**schema["$defs"]["Policy"]["properties"], **schema["properties"]}.get(table)
    for key in keys:
        found = _table(schema, found).get("properties", {}).get(key)
    return found is not None


def _table(schema: dict[str, Any], node: Any) -> dict[str, Any]:
    """The table that a reference, a list of tables or tables by name lead to."""
    if not isinstance(node, dict):
        return {}
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    inner = [*node.get("anyOf", ()), node.get("items"), node.get("additionalProperties")]
    return next((table for each in inner if (table := _table(schema, each))), {})


def test_every_complaint_is_there_once_and_in_order() -> None:
    assert [int(number) for number, _ in ITEMS] == EXPECTED


@pytest.mark.parametrize(("number", "text"), ITEMS, ids=[number for number, _ in ITEMS])
def test_a_complaint_has_its_source_its_answer_and_a_test(number: str, text: str) -> None:
    title, _, answer = text.partition("** (")
    assert title.startswith("**")
    assert SOURCE.search(answer), "where it was found"
    found = cited(answer)
    assert found, "what shows the answer"
    assert [f"{file}::{name}" for file, name in found if name not in functions_of(file)] == []
    assert [f"{file}::{name}" for file, name in found if not name.startswith("test_")] == []


@pytest.mark.parametrize("option", sorted(set(options(PAGE))))
def test_every_option_is_a_key_or_said_to_come_later(option: str) -> None:
    if not is_key(option):
        sentences = [one for one in re.split(r"(?<=[.:]) ", PAGE.replace("\n", " ")) if f"`{option}`" in one]
        later = re.findall(rf"Not yet: [^.]*?\(`{re.escape(option)}`\)", PAGE.replace("\n", " "))
        assert len(later) == len(sentences)

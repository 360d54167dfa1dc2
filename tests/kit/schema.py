"""Whether a line of the call log is what docs/record.schema.json promises: as much of JSON Schema as that file uses. A
word of it that is not known here is a KeyError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "docs" / "record.schema.json"
SCHEMA: dict[str, Any] = json.loads(FILE.read_text("utf-8"))

TYPES: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
SAYS_NOTHING = {"$schema", "title"}


def wrongs(value: Any, schema: dict[str, Any] = SCHEMA, where: str = "line") -> list[str]:
    """What does not fit, one text each."""
    found: list[str] = []
    for word, said in schema.items():
        if word not in SAYS_NOTHING:
            found += [f"{where}: {value!r:.80}: {word} {text}" for text in RULES[word](value, said)]
    inner = schema.get("properties", {}) if isinstance(value, dict) else {}
    return found + [wrong for name in inner if name in value for wrong in wrongs(value[name], inner[name], name)]


def _one_of(value: Any, said: list[dict[str, Any]]) -> Iterator[str]:
    fits = [not wrongs(value, each) for each in said]
    if sum(fits) != 1:
        yield f"fits {sum(fits)}: {[wrongs(value, each)[:3] for each in said]}"


def _unless(broken: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Iterator[str]]:
    return lambda value, said: iter([str(said)] if broken(value, said) else [])


RULES: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "oneOf": _one_of,
    "anyOf": _unless(lambda value, said: all(wrongs(value, each) for each in said)),
    "not": _unless(lambda value, said: not wrongs(value, said)),
    "type": _unless(lambda value, said: not TYPES[said](value)),
    "const": _unless(lambda value, said: value != said),
    "enum": _unless(lambda value, said: value not in said),
    "pattern": _unless(lambda value, said: isinstance(value, str) and re.search(said, value) is None),
    "maxLength": _unless(lambda value, said: isinstance(value, str) and len(value) > said),
    "minimum": _unless(lambda value, said: TYPES["number"](value) and value < said),
    "maximum": _unless(lambda value, said: TYPES["number"](value) and value > said),
    "maxItems": _unless(lambda value, said: isinstance(value, list) and len(value) > said),
    "items": _unless(lambda value, said: isinstance(value, list) and any(wrongs(one, said) for one in value)),
    "additionalProperties": _unless(
        lambda value, said: isinstance(value, dict) and any(wrongs(one, said) for one in value.values())
    ),
    "required": _unless(lambda value, said: isinstance(value, dict) and not set(said) <= set(value)),
    "dependentRequired": _unless(
        lambda value, said: any(name in value and not set(rest) <= set(value) for name, rest in said.items())
    ),
    "properties": lambda value, said: iter(()),
}

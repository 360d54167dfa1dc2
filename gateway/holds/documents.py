"""Tests on JSON documents: `json:/items empty`, `json:/*/channel == /meta/connect`, `every json:/events/*/type ==
heartbeat`. Belongs here: what they mean for one value and for all that a `*` finds, for requests and answers alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import orjson

from gateway.holds import compare
from gateway.holds.content import as_text
from gateway.holds.pointer import ABSENT, compile_pointer, compile_pointers, has_wildcard, same

JsonTest = Callable[[object], bool]

_OPERATORS = ("empty", *compare.OPERATORS)
_OPPOSITE: Final = {"absent": "present", "!=": "==", "not in": "in"}


def compile_document_test(pointer: str, text: str, whole: str, *, every: bool = False) -> JsonTest:
    """The test of a document that says `text` of what `pointer` finds.

    With a `*` in the pointer it holds when it does for any element; `absent`, `!=` and `not in` stay the opposites of
    `present`, `==` and `in`. With `every` it must hold for all elements, and there must be one. Raises ValueError.
    """
    if not has_wildcard(pointer):
        if every:
            raise ValueError(f"`{whole}`: `every` needs a `*` in the pointer; write every json:/items/*/type == VALUE")
        find, single = compile_pointer(pointer, whole), compile_value_check(text, whole)
        return lambda document: single(find(document))
    find_all = compile_pointers(pointer, whole)
    if every:
        return _every(find_all, compile_value_check(text, whole))
    name, rest = compare.split(text, whole, _OPERATORS)
    if name in _OPPOSITE:
        some = _any(find_all, compile_value_check(f"{_OPPOSITE[name]} {rest}", whole))
        return lambda document: not some(document)
    return _any(find_all, compile_value_check(text, whole))


def _every(find_all: Callable[[object], list[object]], check: JsonTest) -> JsonTest:
    def test(document: object) -> bool:
        found = find_all(document)
        return bool(found) and all(map(check, found))

    return test


def _any(find_all: Callable[[object], list[object]], check: JsonTest) -> JsonTest:
    return lambda document: any(map(check, find_all(document)))


def compile_value_check(text: str, whole: str) -> JsonTest:
    """A check of one JSON value. A bare word equals a string and what JSON means by it, numbers by value; in quotes it
    is a string only. Null counts as absent; `empty` is that, "", [] and {}."""
    name, rest = compare.split(text, whole, _OPERATORS)
    if name == "empty":
        return is_empty
    if name == "present":
        return lambda value: value is not ABSENT and value is not None
    if name == "absent":
        return lambda value: value is ABSENT or value is None
    if name in ("==", "!="):
        return _either((rest,), whole, name == "==")
    if name in ("in", "not in"):
        return _either(tuple(compare.members(name, rest, whole)), whole, name == "in")
    check = compare.compile_check(text, whole)
    return lambda value: check(as_text(value))


def is_empty(value: object) -> bool:
    return value is ABSENT or value is None or value == "" or value == [] or value == {}


def _either(literals: tuple[str, ...], whole: str, wanted: bool) -> JsonTest:
    texts = frozenset(compare.literal(text, whole) for text in literals)
    values = tuple(value for value in map(_parsed, literals) if not isinstance(value, str) and value is not ABSENT)

    def check(value: object) -> bool:
        if isinstance(value, str):
            return (value in texts) is wanted
        return any(same(value, each) for each in values) is wanted

    return check


def _parsed(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return ABSENT

"""JSON Pointer (RFC 6901) as a function of a parsed document, with `*` for every element of an array and every member
of an object. Belongs here: finding one value or all of them, and equality of two JSON values (where `true` is not 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Pointer = Callable[[object], object]
Pointers = Callable[[object], list[object]]

EVERY: Final = "*"
ABSENT: Final = object()  # what a pointer finds where nothing is
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")


def compile_pointer(text: str, whole: str) -> Pointer:
    """The finder of one pointer: "" is the whole document, `/a/0` the first element of `a`, ABSENT nothing.

    Raises ValueError naming `whole`, the test it stands in.
    """
    steps = _steps(text, whole)
    if EVERY in steps:
        raise ValueError(
            f"`{whole}`: `*` finds several values where one is wanted; write an index, as in /items/0/type"
        )
    if len(steps) == 1:  # the most common one
        return lambda document: _step(document, steps[0])

    def find(document: object) -> object:
        for step in steps:
            document = _step(document, step)
        return document

    return find


def compile_pointers(text: str, whole: str) -> Pointers:
    """The finder of all values of a pointer with `*`: one for each element, ABSENT for one that lacks what is looked
    for, none at all where the array is missing or empty. Raises ValueError naming `whole`.
    """
    steps = _steps(text, whole)

    def find(document: object) -> list[object]:
        found = [document]
        for step in steps:
            if step == EVERY:
                found = [element for each in found for element in _elements(each)]
            else:
                found = [_step(each, step) for each in found]
        return found

    return find


def has_wildcard(text: str) -> bool:
    """Whether a pointer finds several values."""
    return EVERY in text.split("/")


def _steps(text: str, whole: str) -> tuple[str, ...]:
    if not text:
        return ()
    if not text.startswith("/"):
        raise ValueError(f"`{whole}`: a JSON pointer begins with a slash; write json:/{text}")
    if re.search(r"~(?![01])", text):
        raise ValueError(f"`{whole}`: `~` is written ~0 in a JSON pointer, `/` inside a name ~1 (RFC 6901)")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def _step(document: object, step: str) -> object:
    if isinstance(document, dict):
        return document.get(step, ABSENT)
    if isinstance(document, list) and _INDEX.fullmatch(step) and int(step) < len(document):
        return document[int(step)]
    return ABSENT


def _elements(document: object) -> list[object]:
    if isinstance(document, list):
        return document
    return list(document.values()) if isinstance(document, dict) else []


def same(left: object, right: object) -> bool:
    """Whether two JSON values are equal: numbers by value, but never a number and a boolean."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right

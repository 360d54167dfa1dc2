"""JSON Pointer (RFC 6901) as a function of a parsed document. Belongs here: finding one value, and equality
of two JSON values (where `true` is not 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from gateway.holds.words import LATER

Pointer = Callable[[object], object]

ABSENT: Final = object()  # what a pointer finds where nothing is
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


def compile_pointer(text: str, whole: str) -> Pointer:
    """The finder of one pointer: "" is the whole document, `/a/0` the first element of `a`, ABSENT nothing.

    Raises ValueError naming `whole`, the test it stands in.
    """
    if not text:
        return lambda document: document
    if not text.startswith("/"):
        raise ValueError(f"`{whole}`: a JSON pointer begins with a slash; write json:/{text}")
    if re.search(r"~(?![01])", text):
        raise ValueError(f"`{whole}`: `~` is written ~0 in a JSON pointer, `/` inside a name ~1 (RFC 6901)")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    if "*" in steps:
        raise ValueError(f"`{whole}`: `*` for every element is {LATER}; write an index, as in /items/0/type")

    def find(document: object) -> object:
        for step in steps:
            if isinstance(document, dict):
                document = document.get(step, ABSENT)
            elif isinstance(document, list) and _INDEX.fullmatch(step) and int(step) < len(document):
                document = document[int(step)]
            else:
                return ABSENT
        return document

    return find


def same(left: object, right: object) -> bool:
    """Whether two JSON values are equal: numbers by value, but never a number and a boolean."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return left == right

"""Header fields that are lists of `name=value; parameters`, such as `Prefer: respond-async, wait=10` (RFC
7240 section 2). Belongs here: finding one item over all lines of a field, and replacing it among the others.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

# Commas count only outside quoted strings (RFC 9110 section 5.6.4); possessive, so it never backtracks.
_ELEMENT: Final = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
_NAME_VALUE: Final = re.compile(r'\s*([^\s=;,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*+"|[^;"]*))?')
_USUAL: Final = 64  # characters of a line that is remembered
_REMEMBERED: Final = 512  # lines
_ESCAPED: Final = re.compile(r"\\(.)")


def split(text: str) -> list[str]:
    """The elements of a comma-separated list, stripped, empty ones dropped (RFC 9110 section 5.6.1)."""
    parts = text.split(",") if '"' not in text else _ELEMENT.findall(text)
    return [part for part in map(str.strip, parts) if part]


def _value(text: str | None) -> str:
    if not text:
        return ""
    return _ESCAPED.sub(r"\1", text[1:-1]) if text[0] == '"' else text.rstrip()


def values(lines: Sequence[str], name: str) -> Sequence[str]:
    """The values of every item called `name` (lower case; items are case-insensitive), in order.

    An item without a value counts as one with an empty value (RFC 7240 section 2).
    """
    if len(lines) == 1 and len(lines[0]) <= _USUAL:
        return _values_of(lines[0], name)
    return _found((*lines,), name)


def replace(lines: Sequence[str], name: str, value: str) -> str:
    """All lines as one field value with the item `name` set to `value`, or with it appended.

    The item keeps its parameters, every other item stays as it was; repetitions of it are dropped, since
    only its first instance counts (RFC 7240 section 2). `value` must be a token.
    """
    if len(lines) == 1 and len(lines[0]) <= _USUAL:
        return _replaced_in(lines[0], name, value)
    return _replaced((*lines,), name, value)


# Clients write the same few lines over and over, and each poll is looked at three times: 1 us less per poll.
@lru_cache(maxsize=_REMEMBERED)
def _values_of(line: str, name: str) -> tuple[str, ...]:
    return tuple(_found((line,), name))


@lru_cache(maxsize=_REMEMBERED)
def _replaced_in(line: str, name: str, value: str) -> str:
    return _replaced((line,), name, value)


def _found(lines: Sequence[str], name: str) -> list[str]:
    found = []
    for line in lines:
        if name not in line.lower():
            continue
        for element in split(line) if "," in line else (line,):
            match = _NAME_VALUE.match(element)
            if match is not None:
                item, value = match.groups()
                if item == name or item.lower() == name:
                    found.append(_value(value))
    return found


def _replaced(lines: Sequence[str], name: str, value: str) -> str:
    kept: list[str] = []
    done = False
    for element in [element for line in lines for element in (split(line) if "," in line else (line.strip(),))]:
        match = _NAME_VALUE.match(element)
        if match is None or match[1].lower() != name:
            if element:
                kept.append(element)
        elif not done:
            kept.append(f"{match[1]}={value}{element[match.end() :]}")
            done = True
    if not done:
        kept.append(f"{name}={value}")
    return ", ".join(kept)

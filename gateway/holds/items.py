"""Header fields that are lists of `name=value; parameters`, such as `Prefer: respond-async, wait=10` (RFC
7240 section 2). Belongs here: finding one item over all lines of a field, and replacing it among the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Commas count only outside quoted strings (RFC 9110 section 5.6.4); possessive, so it never backtracks.
_ELEMENT = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+"?)++')
_NAME_VALUE = re.compile(r'\s*([^\s=;,"]+)\s*(?:=\s*("(?:[^"\\]|\\.)*+"|[^;"]*))?')
_ESCAPED = re.compile(r"\\(.)")


def split(text: str) -> list[str]:
    """The elements of a comma-separated list, stripped, empty ones dropped (RFC 9110 section 5.6.1)."""
    parts = text.split(",") if '"' not in text else _ELEMENT.findall(text)
    return [part for part in map(str.strip, parts) if part]


def _value(text: str | None) -> str:
    if not text:
        return ""
    return _ESCAPED.sub(r"\1", text[1:-1]) if text[0] == '"' else text.rstrip()


def values(lines: Iterable[str], name: str) -> list[str]:
    """The values of every item called `name` (lower case; items are case-insensitive), in order.

    An item without a value counts as one with an empty value (RFC 7240 section 2).
    """
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


def replace(lines: Iterable[str], name: str, value: str) -> str:
    """All lines as one field value with the item `name` set to `value`, or with it appended.

    The item keeps its parameters, every other item stays as it was; repetitions of it are dropped, since
    only its first instance counts (RFC 7240 section 2). `value` must be a token.
    """
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

"""Reading the text forms that tokens and key files are made of, strictly: base64url without padding and JSON
without duplicate names, non-numbers or bottomless nesting. One spelling for one value, or a ValueError.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

MAX_DEPTH: Final = 16  # of objects and arrays in one another
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def base64url(text: str) -> bytes:
    """Decodes base64url as RFC 7515 2 wants it: no padding, no line breaks, no stray bits in the last one.

    Raises ValueError for every other spelling, so that one value has one text.
    """
    raw = text.encode("ascii")  # UnicodeEncodeError is a ValueError
    decoded = urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != raw:
        raise ValueError("not base64url")
    return decoded


def json_object(raw: bytes) -> dict[str, object]:
    """Decodes one JSON object: UTF-8, no name twice (RFC 7515 4, RFC 7519 4), no NaN, no lone surrogate.

    Raises ValueError for everything else.
    """
    text = raw.decode("utf-8")
    _check_depth(raw)
    found = _DECODER.decode(text)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode("utf-8")  # a lone surrogate is a UnicodeEncodeError
    return found


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the same name twice")
    return found


def _no_constant(name: str) -> object:
    raise ValueError("not a number")


def _check_depth(raw: bytes) -> None:
    """Raises ValueError for deep nesting before the JSON decoder has to recurse into it."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", raw)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")


# Made once: json.loads would make a new one for every token.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)

"""Where a value stands in a request, as policies name it: `query:x`, `header:X`, `header-item:Prefer/wait`.
Belongs here: turning such a name into a function of the request head, once, at load.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.head import RequestHead
from gateway.holds import items
from gateway.holds.words import LATER, did_you_mean

Place = Callable[[RequestHead], str | None]

KINDS = ("query", "header", "header-item")
LATER_KINDS = ("form", "json", "path", "last", "cookie", "session", "xml")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def is_token(text: str) -> bool:
    """Whether the text is a field name or other token of RFC 9110 section 5.6.2."""
    return _TOKEN.fullmatch(text) is not None


def compile_place(text: str) -> Place:
    """The reader of one named place; its value, or None when the request has none.

    A header sent in several lines reads as one list (RFC 9110 section 5.3). Raises ValueError for a name that
    cannot be read.
    """
    kind, colon, name = text.partition(":")
    if kind in LATER_KINDS and colon:
        raise ValueError(f"`{text}`: `{kind}:` is {LATER}; write query:NAME or header:NAME")
    if kind not in KINDS or not colon:
        hint = did_you_mean(kind, KINDS)
        raise ValueError(
            f"`{text}` names no place in a request{hint}; write query:NAME, header:NAME or header-item:HEADER/ITEM"
        )
    if not name:
        raise ValueError(f"`{text}` lacks a name; write {kind}:NAME")
    if kind == "query":
        return lambda head: head.arg(name)
    if kind == "header":
        return _header(name, text)
    return _header_item(name, text)


def _header(name: str, text: str) -> Place:
    if not is_token(name):
        raise ValueError(f"`{text}`: `{name}` is not a header name; write header:NAME")

    def read(head: RequestHead) -> str | None:
        lines = head.headers.getall(name, ())
        if not lines:
            return None
        return lines[0] if len(lines) == 1 else ", ".join(lines)

    return read


def _header_item(name: str, text: str) -> Place:
    header, _, item = name.partition("/")
    if not (is_token(header) and is_token(item)):
        raise ValueError(f"`{text}` names no list item; write HEADER/ITEM, as in header-item:Prefer/wait")
    item = item.lower()

    def read(head: RequestHead) -> str | None:
        found = items.values(head.headers.getall(header, ()), item)
        return found[0] if found else None

    return read

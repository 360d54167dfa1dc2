"""Where a value stands in a request, as policies name it: `query:x`, `header:X`, `header-item:Prefer/wait`, `cookie:x`,
`form:x`, `json:/a/0/b`, `xml:@attribute`, `path:name`, and `last:X` for a header field of the last answer.
Belongs here: turning such a name into a function of the request head, once, at load.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

from gateway.head import RequestHead
from gateway.holds import items
from gateway.holds.content import as_text
from gateway.holds.pointer import compile_pointer
from gateway.holds.words import did_you_mean
from gateway.identity.places import finder

Place = Callable[[RequestHead], str | None]

KINDS = ("query", "header", "header-item", "cookie", "form", "json", "xml", "path", "last")
BODY_KINDS = ("form", "json", "xml")  # those that look into the body
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ATTRIBUTE: Final = re.compile(r"@[^\W\d][\w.:-]*")


def is_token(text: str) -> bool:
    """Whether the text is a field name or other token of RFC 9110 section 5.6.2."""
    return _TOKEN.fullmatch(text) is not None


def compile_place(text: str) -> Place:
    """The reader of one named place; its value, or None when the request has none.

    A header sent in several lines reads as one list (RFC 9110 section 5.3), a part of the path as it is meant, without
    escapes. Raises ValueError for a name that cannot be read.
    """
    kind, colon, name = text.partition(":")
    if kind not in KINDS or not colon:
        hint = did_you_mean(kind, KINDS)
        raise ValueError(
            f"`{text}` names no place in a request{hint}; write query:NAME, header:NAME, json:/POINTER or one of "
            "header-item:, cookie:, form:, xml:, path:, last:"
        )
    if not name:
        raise ValueError(f"`{text}` lacks a name; write {kind}:{_EXAMPLES.get(kind, 'NAME')}")
    return _MAKERS[kind](name, text)


def _query(name: str, text: str) -> Place:
    return lambda head: head.arg(name)


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


def _cookie(name: str, text: str) -> Place:
    if not is_token(name):
        raise ValueError(f"`{text}`: `{name}` is not the name of a cookie; write cookie:NAME")
    find = finder(text)
    return lambda head: next(iter(find(head, None)), None)


def _form(name: str, text: str) -> Place:
    def read(head: RequestHead) -> str | None:
        if head.content is not None:
            for key, value in head.content.form:
                if key == name:
                    return value
        return None

    return read


def _json(name: str, text: str) -> Place:
    find = compile_pointer(name, text)
    return lambda head: as_text(find(head.content.document)) if head.content is not None else None


def _xml(name: str, text: str) -> Place:
    if not _ATTRIBUTE.fullmatch(name):
        raise ValueError(f"`{text}`: of XML only attributes of the root are looked at; write xml:@NAME")
    attribute = name[1:]
    return lambda head: head.content.root.get(attribute) if head.content is not None else None


def _path(name: str, text: str) -> Place:
    def read(head: RequestHead) -> str | None:
        value = head.params.get(name) if head.params is not None else None
        return unquote(value) if value is not None and "%" in value else value

    return read


def _last(name: str, text: str) -> Place:
    if not is_token(name):
        raise ValueError(f"`{text}`: `{name}` is not a header name; write last:NAME")
    field = name.lower()
    return lambda head: head.known.headers.get(field) if head.known is not None else None


_EXAMPLES: Final = {"header-item": "HEADER/ITEM", "json": "/POINTER", "xml": "@NAME"}
_MAKERS: dict[str, Callable[[str, str], Place]] = {
    "query": _query, "header": _header, "header-item": _header_item, "cookie": _cookie, "form": _form, "json": _json,
    "xml": _xml, "path": _path, "last": _last,
}  # fmt: skip

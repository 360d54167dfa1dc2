"""An answer of the upstream as idle tests look at it. Belongs here: reading its body as text, JSON or XML once, on
first use, and saying when it cannot be read: then no test of it means anything.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

import orjson

from gateway.head import ResponseHead
from gateway.holds.plan import Recalled

BODY_LIMIT: Final = 4096  # bytes: an idle answer is short, a longer body is news
UNREADABLE: Final = object()  # in place of a document
_UNREAD: Final = object()


class Xml:
    """What tests ask of an XML document: the root's attributes, whether it has content, all local names below it."""

    __slots__ = ("attributes", "empty", "names")

    def __init__(self) -> None:
        self.attributes: dict[str, str] = {}
        self.empty = True
        self.names: set[str] = set()


class Answer:
    """One answer. `readable` tells whether its body is whole, plain and short enough to be looked at."""

    __slots__ = ("_document", "_xml", "body", "head", "recalled")

    def __init__(self, head: ResponseHead, body: bytes, recalled: Recalled) -> None:
        self.head = head
        self.body = body
        self.recalled = recalled
        self._document: object = _UNREAD
        self._xml: object = _UNREAD

    @property
    def readable(self) -> bool:
        return (
            len(self.body) <= BODY_LIMIT
            and (self.head.length or 0) <= BODY_LIMIT
            and "Content-Encoding" not in self.head.headers
        )

    @property
    def document(self) -> object:
        """The parsed JSON document, or UNREADABLE."""
        if self._document is _UNREAD:
            self._document = UNREADABLE
            if self.readable:
                try:
                    self._document = orjson.loads(self.body)
                except orjson.JSONDecodeError:
                    pass
        return self._document

    @property
    def xml(self) -> Xml | None:
        """The XML document, None for what is none or has a document type: it has no place in a message."""
        if self._xml is _UNREAD:
            self._xml = parse_xml(self.body) if self.readable else None
        return self._xml if isinstance(self._xml, Xml) else None


def parse_xml(body: bytes) -> Xml | None:
    """What tests ask of this document, None for what is no XML or has a document type."""
    found, depth = Xml(), 0
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if depth:
            found.empty = False
            found.names.add(name.rpartition(":")[2])
        else:
            found.attributes = attributes
            found.names.add(name.rpartition(":")[2])
        depth += 1

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1

    def text(data: str) -> None:
        found.empty = found.empty and not data.strip()

    def doctype(*_: object) -> None:
        raise expat.ExpatError("a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError, ValueError):  # also an encoding nobody knows
        return None
    return found

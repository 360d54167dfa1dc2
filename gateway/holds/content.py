"""The body of a request as a dialect looks at it: form fields, a JSON document, the attributes of an XML root. Belongs
here: reading each of them once, on first use, from a body that is whole and of bounded length.
"""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

import orjson

from gateway.head import RequestHead, parse_query
from gateway.holds import splice
from gateway.holds.pointer import ABSENT

MALFORMED: Final = "malformed_body"  # notes of a record
TOO_LONG: Final = "body_not_read"
FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 1000  # of a form: more are no poll
_UNSAID: Final = object()
_TOO_DEEP: Final = "[...]"  # the text of a value that nests too deep to be written down


def media_type(head: RequestHead) -> str:
    """The Content-Type without parameters, in lower case; "" when none was sent."""
    return head.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def encoded(head: RequestHead) -> bool:
    """Whether the body is written in some other way than its type says, such as compressed: nobody looks into that."""
    codings = head.headers.getall("Content-Encoding", ())
    return any(coding.strip().lower() not in ("", "identity") for line in codings for coding in line.split(","))


class Content:
    """A whole body. `media` is its media type, as `media_type` reads it.

    `malformed` becomes True once a body turns out not to be what its type claims: then nothing is found in it.
    """

    __slots__ = ("_document", "_form", "_places", "_root", "malformed", "media", "raw")

    def __init__(self, raw: bytes, media: str) -> None:
        self.raw = raw
        self.media = media
        self.malformed = False
        self._form: tuple[tuple[str, str], ...] | None = None
        self._document: object = _UNSAID
        self._root: dict[str, str] | None = None
        self._places: dict[str, tuple[splice.Span, ...]] = {}

    def sound(self) -> bool:
        """Whether the body is what its type claims to be; reads it as that, if nobody has yet."""
        if "json" in self.media:
            _ = self.document
        elif self.media == FORM:
            _ = self.form
        elif "xml" in self.media:
            _ = self.root
        return not self.malformed

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """Names and values of a urlencoded form, in order; () for every other type, and for one of too many fields."""
        if self._form is None:
            text = ""
            if self.media == FORM:
                self.malformed = self.raw.count(b"&") >= MOST_FIELDS
                text = "" if self.malformed else self.raw.decode("utf-8", "surrogateescape")
            self._form = parse_query(text)
        return self._form

    @property
    def document(self) -> object:
        """The parsed JSON document, ABSENT for another type of body and for what is no JSON."""
        if self._document is _UNSAID:
            self._document = ABSENT
            if "json" in self.media or self.media in ("", "text/plain"):
                try:
                    self._document = orjson.loads(self.raw)
                except orjson.JSONDecodeError:
                    self.malformed = bool(self.raw) and "json" in self.media  # other types did not claim it
        return self._document

    def places(self, pointer: str) -> tuple[splice.Span, ...]:
        """Where in the text of the document the values stand that a pointer leads to, which leads somewhere."""
        found = self._places.get(pointer)
        if found is None:
            found = self._places[pointer] = splice.places(self.raw, pointer)
        return found

    @property
    def root(self) -> dict[str, str]:
        """The attributes of an XML document's root element, {} for another type of body and for what is no XML.

        Nothing behind the root's start tag is looked at; a document type is refused, it has no place in a message.
        """
        if self._root is None:
            self._root = {}
            if "xml" in self.media and self.raw:
                self._read_root(self._root)
        return self._root

    def _read_root(self, found: dict[str, str]) -> None:
        parser = expat.ParserCreate()

        def start(name: str, attributes: dict[str, str]) -> None:
            found.update(attributes)
            parser.StartElementHandler = None

        parser.StartElementHandler = start
        parser.StartDoctypeDeclHandler = _refuse
        try:
            parser.Parse(self.raw, True)
        except (expat.ExpatError, ValueError, LookupError):  # the last two: an encoding nobody knows
            found.clear()
            self.malformed = True


def as_text(value: object) -> str | None:
    """A JSON value as a text to compare: a string as it is, None for null and for nothing, all else as JSON."""
    if isinstance(value, str):
        return value
    if value is None or value is ABSENT:
        return None
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return _TOO_DEEP


def _refuse(*_: object) -> None:
    raise ValueError

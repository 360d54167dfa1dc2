"""Text with values to be filled in, such as {query:since} and {json:/id}. Belongs here: cutting such a text into parts
at load, and the escaping that keeps a value inside the place it was put: a header line, a JSON value, markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

import orjson

from gateway.head import RequestHead
from gateway.holds.html_places import PROBE, takes_values
from gateway.holds.places import KINDS, Place, compile_place
from gateway.holds.words import did_you_mean, shown

Escape = Callable[[str], "str | None"]

LONGEST: Final = 8192  # characters of one value; what is longer is no position anybody gave out
_MARK: Final = re.compile(r"\{([a-z][a-z-]*):([^{}\"']*)\}")
_COUNTS: Final = re.compile(r"\s|\+[0-9]+$")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_QUOTE: Final = re.compile(r'(?<!\\)(?:\\\\)*"')
_PROBES: Final = {
    "json": "[]",
    "xml": "a &amp; -- b",
    "html": PROBE,
}  # stand where only a whole JSON value, or text, may stand


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a value goes; `quoted` says that it stands between quotes."""

    name: str
    quoted: bool


Parts = tuple["str | Slot", ...]


@dataclass(frozen=True, slots=True)
class Render:
    """A text ready to be filled: `fill(head)` is its bytes, or None when a value is missing or unfit.

    `literal` is the whole text when `uses` is False: then nothing is filled in.
    """

    fill: Callable[[RequestHead], bytes | None]
    uses: bool
    literal: bytes


def escape_for(media: str | None) -> tuple[str, Escape]:
    """The name and the escaping of a media type; None means a header value, "" an unknown type."""
    if media is None:
        return "header", _in_header
    kind = media.partition(";")[0].strip().lower()
    if "json" in kind:  # application/json, something+json, application/x-amz-json-1.0
        return "json", _in_json
    if kind in ("application/xml", "text/xml") or kind.endswith("+xml"):
        return "xml", _in_markup
    if kind == "text/html":
        return "html", _in_markup
    return ("text", _in_text) if kind == "text/plain" else ("", _in_text)


def cut(text: str, mark: re.Pattern[str], named: Callable[[re.Match[str]], str | None]) -> Parts:
    """The text in parts: literals, and a Slot for every mark that `named` has a name for."""
    parts: list[str | Slot] = []
    end = 0
    for match in mark.finditer(text):
        name = named(match)
        if name is None:
            continue
        quotes = len(_QUOTE.findall(text[: match.start()]))
        parts += (text[end : match.start()], Slot(name, quotes % 2 == 1))
        end = match.end()
    return (*parts, text[end:])


def check_parts(parts: Parts, kind: str, text: str) -> None:
    """Raises ValueError where the text would not be what its type says, whatever is filled in."""
    probe = _PROBES.get(kind)
    if probe is None or not text:
        return
    filled = "".join([part if isinstance(part, str) else probe for part in parts])
    if kind == "html":
        if not takes_values(filled):
            raise ValueError(f"{shown(text)}: in HTML a value may stand in text and in quotes, not in scripts or tags")
        return
    try:
        if kind == "json":
            orjson.loads(filled)
        else:
            expat.ParserCreate().Parse(filled.encode(), True)
    except (orjson.JSONDecodeError, expat.ExpatError):
        raise ValueError(f"{shown(text)} is not {kind.upper()}; correct it, or its Content-Type") from None


def compile_text(text: str, escaping: tuple[str, Escape]) -> Render:
    """Cuts the text at its substitutions. Braces that are none, as in {"result":[]}, stand for themselves.

    Raises ValueError for a substitution that cannot be made safely or is not known.
    """
    kind, escape = escaping
    parts = cut(text, _MARK, _place_of)
    check_parts(parts, kind, text)
    literal = text.encode()
    if len(parts) == 1:
        return Render(lambda head: literal, False, literal)
    if not kind:
        raise ValueError(f'{shown(text)}: say what the body is; write headers = {{ Content-Type = "text/plain" }}')
    filling = tuple(
        part if isinstance(part, str) else (compile_place(part.name), escape_in(part, kind, escape)) for part in parts
    )
    return Render(_filler(filling), True, b"")


def escape_in(slot: Slot, kind: str, escape: Escape) -> Escape:
    """The escaping of one slot: outside of quotes JSON takes only a number."""
    return _json_number if kind == "json" and not slot.quoted else escape


def _place_of(mark: re.Match[str]) -> str | None:
    kind, name = mark[1], mark[2]
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS)
        if near:
            raise ValueError(f"`{mark[0]}` is no substitution{near}; write {{query:NAME}} or {{header:NAME}}")
        return None
    if not name:
        raise ValueError(f"`{mark[0]}` lacks a name; write {{{kind}:NAME}}")
    if _COUNTS.search(name):
        raise ValueError(f"`{mark[0]}`: a value is echoed as it is, never counted on; write {{{kind}:NAME}}")
    return f"{kind}:{name}"


def _filler(parts: Iterable[str | tuple[Place, Escape]]) -> Callable[[RequestHead], bytes | None]:
    fixed = tuple(parts)

    def fill(head: RequestHead) -> bytes | None:
        filled: list[str] = []
        for part in fixed:
            if isinstance(part, str):
                filled.append(part)
                continue
            place, escape = part
            value = place(head)
            safe = escape(value) if value is not None and len(value) <= LONGEST else None
            if safe is None:
                return None
            filled.append(safe)
        return "".join(filled).encode()

    return fill


def _in_header(value: str) -> str | None:
    return value if _PRINTABLE.fullmatch(value) and value.strip() == value else None


def _in_json(value: str) -> str | None:
    try:
        return orjson.dumps(value)[1:-1].decode()
    except orjson.JSONEncodeError:  # half of a surrogate pair: bytes that were not UTF-8
        return None


def _json_number(value: str) -> str | None:
    return value if _JSON_NUMBER.fullmatch(value) else None


def _in_text(value: str) -> str | None:
    return None if _CONTROL.search(value) or not _encodes(value) else value


def _in_markup(value: str) -> str | None:
    safe = _in_text(value)
    return html.escape(safe) if safe is not None else None


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

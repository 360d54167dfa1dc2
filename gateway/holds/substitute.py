"""Text with {query:NAME} and {header:NAME} in it. Belongs here: cutting such a text into parts at load, and
the escaping that keeps a client's value inside the place it was put: a header line, a JSON value, markup.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from gateway.head import RequestHead
from gateway.holds.places import Place, compile_place
from gateway.holds.words import LATER, did_you_mean

Escape = Callable[[str], str | None]

_MARK = re.compile(r"\{([a-z][a-z-]*):([^{}\"']*)\}")
_READY = ("query", "header")
_LATER = ("form", "json", "path", "last", "header-item")
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')


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
    if kind == "application/json" or kind.endswith("+json"):
        return "json", _in_json
    if kind in ("text/html", "application/xml", "text/xml") or kind.endswith("+xml"):
        return "markup", _in_markup
    return ("text", _in_text) if kind == "text/plain" else ("", _in_text)


def compile_text(text: str, escaping: tuple[str, Escape]) -> Render:
    """Cuts the text at its substitutions. Braces that are none, as in {"result":[]}, stand for themselves.

    Raises ValueError for a substitution that cannot be made safely or is not known.
    """
    kind, escape = escaping
    parts: list[str | tuple[Place, Escape]] = []
    end = 0
    for mark in _MARK.finditer(text):
        if not _is_substitution(mark):
            continue
        parts.append(text[end : mark.start()])
        number = kind == "json" and not _in_string(text[: mark.start()])
        parts.append((compile_place(mark[0][1:-1]), _json_number if number else escape))
        end = mark.end()
    parts.append(text[end:])
    literal = text.encode()
    _check_json(text, kind)
    if len(parts) == 1:
        return Render(lambda head: literal, False, literal)
    if not kind:
        raise ValueError(f'`{text}`: say what the body is; write headers = {{ Content-Type = "text/plain" }}')
    return Render(_filler(tuple(parts)), True, b"")


def _is_substitution(mark: re.Match[str]) -> bool:
    kind, name = mark[1], mark[2]
    if kind in _LATER:
        raise ValueError(f"`{mark[0]}` is {LATER}; write {{query:NAME}} or {{header:NAME}}")
    if kind not in _READY:
        near = did_you_mean(kind, _READY + _LATER)
        if near:
            raise ValueError(f"`{mark[0]}` is no substitution{near}; write {{query:NAME}} or {{header:NAME}}")
        return False
    if not name:
        raise ValueError(f"`{mark[0]}` lacks a name; write {{{kind}:NAME}}")
    return True


def _filler(parts: tuple[str | tuple[Place, Escape], ...]) -> Callable[[RequestHead], bytes | None]:
    def fill(head: RequestHead) -> bytes | None:
        filled: list[str] = []
        for part in parts:
            if isinstance(part, str):
                filled.append(part)
                continue
            place, escape = part
            value = place(head)
            safe = escape(value) if value is not None else None
            if safe is None:
                return None
            filled.append(safe)
        return "".join(filled).encode()

    return fill


def _in_string(before: str) -> bool:
    return len(_QUOTE.findall(before)) % 2 == 1


def _check_json(text: str, kind: str) -> None:
    if kind != "json" or not text:
        return
    try:
        orjson.loads(_MARK.sub("0", text))
    except orjson.JSONDecodeError:
        raise ValueError(f"`{text}` is not JSON; correct it, or its Content-Type") from None


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

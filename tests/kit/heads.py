"""Heads made by hand, for tests of what decides on heads alone. No socket, no parser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.head import RawHeaders, RequestHead, ResponseHead
from gateway.holds.content import Content

FORM, JSON, XML = "application/x-www-form-urlencoded", "application/json", "text/xml"

Fields = Mapping[str, str] | Iterable[tuple[str, str]]


def _fields(headers: Fields) -> tuple[CIMultiDictProxy[str], RawHeaders]:
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    raw = tuple((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in pairs)
    return CIMultiDictProxy(CIMultiDict(pairs)), raw


def head(method: str, target: str, headers: Fields = ()) -> RequestHead:
    """The head of `METHOD target`; pass pairs instead of a mapping to send a field twice."""
    path, _, query = target.partition("?")
    fields, raw = _fields(headers)
    return RequestHead(method, path, query, host="api.example", headers=fields, raw_headers=raw)


def posted(target: str, body: bytes | str, media: str = JSON, headers: Fields = ()) -> RequestHead:
    """The head of a POST whose whole body has been read."""
    raw = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
    made = head("POST", target, headers)
    made.length, made.framing, made.content = len(raw), "length", Content(raw, media)
    return made


def response(status: int, headers: Fields = (), length: int | None = None) -> ResponseHead:
    """The head of an answer; `length` is its Content-Length."""
    fields, raw = _fields(headers)
    return ResponseHead(status, "", fields, raw, 1, length, length is None, True)

"""The kind `cors`: which web pages may call a route (Fetch Standard 3.2). Answers preflights, which carry no
credentials and so come before identity, and gives the fields that every answer of the route needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.head import RequestHead
from gateway.outcome import Outcome
from gateway.pipeline import HeaderList, Refusal, Reply
from gateway.shapes import Cors

EXPOSED = ("Retry-After", "WWW-Authenticate", "RateLimit", "RateLimit-Policy")
"""What a page may always read of an answer: it cannot back off by fields it does not see."""

OWNED: Final = frozenset({
    b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods",
    b"access-control-allow-origin", b"access-control-expose-headers", b"access-control-max-age",
})  # fmt: skip
"""For `ResponseShape.drop` of a route with cors: two Allow-Origin fields are as bad as none."""

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.\-]*://[a-z0-9\-._~\[\]:]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")  # what "*" means where browsers do not take it
_VARY = (b"Vary", b"Origin")
_PREFLIGHT_VARY = (b"Vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")


def compile_cors(
    origins: Iterable[str],
    methods: Sequence[str],
    headers: Sequence[str] = (),
    expose: Sequence[str] = (),
    credentials: bool = False,
    max_age: float = 600,
) -> Cors:
    """The rules of a route, checked. `max_age` is in seconds; `expose` adds to EXPOSED.

    Raises ValueError for "*" beside other origins, for "*" with credentials (except in `methods`, where it stands
    for the usual ones), and for what is no origin or token.
    """
    found = frozenset(origins)
    if not found:
        raise ValueError('cors: origins is empty; name the pages that may call, such as ["https://app.example.com"]')
    if ANY in found and len(found) > 1:
        raise ValueError('cors: origins lists "*" beside others; write ["*"] or the others')
    if credentials and ANY in methods:
        methods = _METHODS
    if credentials and ANY in {*found, *headers, *expose}:
        raise ValueError('cors: "*" cannot be used with credentials = true; list the names')
    for origin in found - {ANY}:
        if not _ORIGIN.fullmatch(origin):
            raise ValueError(f"cors: {origin!r} is no origin; write scheme://host[:port] in lower case, no path")
    for name in (*methods, *headers, *expose):
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"cors: {name!r} is neither a method nor a header name")
    exposed = tuple({name.lower(): name for name in (*EXPOSED, *expose)}.values())
    cors = Cors(found, tuple(methods), tuple(headers), exposed, credentials, int(max_age))
    pages = {origin: _lines(cors, origin) for origin in found - {ANY}}
    return replace(cors, pages=pages, strangers=_lines(cors, None))


def preflight(cors: Cors, head: RequestHead) -> Reply | Refusal | None:
    """The answer to a preflight: 204, or 403 when the page may not do what it asks; None if this is none.

    The Reply holds every field it needs: `response_headers` is not to be added to it.
    """
    origin = head.headers.get("Origin")
    method = head.headers.get("Access-Control-Request-Method")
    if head.method != "OPTIONS" or origin is None or method is None:
        return None
    if not _origin_allowed(cors, origin):
        return _refusal("origin_not_allowed", "pages of this origin may not call here")
    if method not in cors.methods and ANY not in cors.methods:
        return _refusal("method_not_allowed_for_origin", "pages may not use this method here")
    if not _headers_allowed(cors, head.headers.getall("Access-Control-Request-Headers", ())):
        return _refusal("header_not_allowed_for_origin", "pages may not send this header here")
    return Reply(Outcome.PREFLIGHT, 204, _preflight_headers(cors, origin))


def response_headers(cors: Cors, origin: str | None) -> HeaderList:
    """What every answer of the route carries, errors included; `origin` is the request's Origin field.

    An origin is only ever repeated when it is one of the list. Vary stands there for every origin, or a
    shared cache would hand one page's answer to another (Fetch Standard 3.2.5).
    """
    if ANY in cors.origins:
        return ((b"Access-Control-Allow-Origin", b"*"), _expose(cors))
    if origin is None or origin not in cors.origins:
        return (_VARY,)
    allow = (b"Access-Control-Allow-Origin", origin.encode("ascii"))
    if cors.credentials:
        return (allow, (b"Access-Control-Allow-Credentials", b"true"), _expose(cors), _VARY)
    return (allow, _expose(cors), _VARY)


def answer_headers(cors: Cors, origin: str | None, headers: HeaderList) -> HeaderList:
    """The fields of an answer of ours. What a dialect says of origins gives way, as what an upstream says does."""
    kept = [field for field in headers if field[0].lower() not in OWNED]
    return (*kept, *response_headers(cors, origin))


def _lines(cors: Cors, origin: str | None) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in response_headers(cors, origin)])


def _expose(cors: Cors) -> tuple[bytes, bytes]:
    return b"Access-Control-Expose-Headers", ", ".join(cors.expose or EXPOSED).encode("ascii")


def _origin_allowed(cors: Cors, origin: str) -> bool:
    return ANY in cors.origins or origin in cors.origins


def _headers_allowed(cors: Cors, fields: Sequence[str]) -> bool:
    """ "*" stands for every name but Authorization, which must be listed (Fetch Standard 4.8)."""
    listed = {name.lower() for name in cors.headers}
    names = {name.strip(" \t").lower() for value in fields for name in value.split(",")} - {""}
    return names <= listed or (ANY in listed and (names - listed).isdisjoint({"authorization"}))


def _preflight_headers(cors: Cors, origin: str) -> HeaderList:
    shared = ANY in cors.origins
    fields = [
        (b"Access-Control-Allow-Origin", b"*" if shared else origin.encode("ascii")),
        (b"Access-Control-Allow-Methods", ", ".join(cors.methods).encode("ascii")),
        (b"Access-Control-Max-Age", b"%d" % cors.max_age),
        _PREFLIGHT_VARY,
    ]
    if cors.headers:
        fields.append((b"Access-Control-Allow-Headers", ", ".join(cors.headers).encode("ascii")))
    if cors.credentials:
        fields.append((b"Access-Control-Allow-Credentials", b"true"))
    return tuple(fields)


def _refusal(slug: str, detail: str) -> Refusal:
    return Refusal(Outcome.FORBIDDEN, 403, slug, detail)

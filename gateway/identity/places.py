"""Where in a request a token may stand ("header:Authorization", "cookie:x", "query:x", "path:x"): how it is
read there, and how it is taken out so that it goes no further than the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeAlias

from gateway.head import RequestHead

Params: TypeAlias = "Mapping[str, str] | None"
Finder = Callable[[RequestHead, Params], tuple[str, ...]]
"""Every token at one place; more than one is for the caller to refuse."""


def finder(source: str) -> Finder:
    """The reader of one place. Raises ValueError for a place that does not exist."""
    kind, _, name = source.partition(":")
    if not name or kind not in ("header", "cookie", "query", "path"):
        raise ValueError(f"{source!r} is no place for a token; write header:, cookie:, query: or path: and a name")
    if kind == "header":
        return partial(_bearer if name.lower() == "authorization" else _header, name)
    return partial({"cookie": _cookie, "query": _query, "path": _path}[kind], name)


def names_of(kind: str, sources: Iterable[str]) -> tuple[str, ...]:
    """The names of all places of a kind ("header", "cookie", "query", "path"), each once, in order."""
    pairs = (source.partition(":") for source in sources)
    return tuple(dict.fromkeys(name for found, _, name in pairs if found == kind))


def credential_headers(sources: Iterable[str]) -> frozenset[bytes]:
    """The header names, in lower case, that hold tokens and so are not forwarded."""
    return frozenset(name.lower().encode("ascii") for name in names_of("header", sources))


def credential_cookies(sources: Iterable[str]) -> tuple[str, ...]:
    """The cookies that hold tokens and so are not forwarded; see `without_cookie`."""
    return names_of("cookie", sources)


def without_cookie(value: bytes, name: str) -> bytes | None:
    """A Cookie field value without the cookies of that name, None when nothing is left (RFC 6265 4.2.1)."""
    wanted = name.encode("latin-1", "replace")
    pairs = (pair.strip(b" \t") for pair in value.split(b";"))
    kept = [pair for pair in pairs if pair and pair.partition(b"=")[0].rstrip(b" \t") != wanted]
    return b"; ".join(kept) or None


def _bearer(name: str, head: RequestHead, params: Params) -> tuple[str, ...]:
    """RFC 6750 2.1; the scheme's case does not matter (RFC 9110 11.1). Other schemes hold no such token."""
    values = head.headers.getall(name, ())
    if len(values) > 1:  # whoever stands behind us may read the other one
        return tuple(values)
    for value in values:
        if value[:7] == "Bearer " and " " not in value[7:]:  # as nearly everybody writes it
            return (value[7:],) if len(value) > 7 else ()
        scheme, _, token = value.strip(" \t").partition(" ")
        token = token.lstrip(" ")
        if token and scheme.lower() == "bearer":
            return (token,)
    return ()


def _header(name: str, head: RequestHead, params: Params) -> tuple[str, ...]:
    stripped = (value.strip(" \t") for value in head.headers.getall(name, ()))
    return tuple(value for value in stripped if value)


def _cookie(name: str, head: RequestHead, params: Params) -> tuple[str, ...]:
    """The first cookie of the name: browsers send those of the longest path first (RFC 6265 5.4)."""
    for field in head.headers.getall("Cookie", ()):
        for pair in field.split(";"):
            found, _, value = pair.partition("=")
            value = value.strip(" \t")
            if found.strip(" \t") != name:
                continue
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if value:
                return (value,)
    return ()


def _query(name: str, head: RequestHead, params: Params) -> tuple[str, ...]:
    if not head.query:
        return ()
    return tuple(value for found, value in head.args if found == name and value)


def _path(name: str, head: RequestHead, params: Params) -> tuple[str, ...]:
    value = params.get(name) if params is not None else None
    return (value,) if value else ()

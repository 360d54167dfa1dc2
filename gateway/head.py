"""The heads of HTTP messages as values: what a parser read, with nothing decided yet. No I/O, no policy.
A request head lives from `open` to `forward`; it is dropped before a call is parked. With it goes what a dialect may
look at besides: captures of the path, the body, what is known from earlier answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote_plus, unquote_plus

from multidict import CIMultiDictProxy

if TYPE_CHECKING:
    from gateway.holds.content import Content
    from gateway.identity.claims import Identity
    from gateway.routing import Found, Router
    from gateway.shapes import RequestShape
    from gateway.telemetry.trace import Arrival

_NEEDS_ESCAPING: Final = re.compile(r"[^!-~\w]|[&=+%#]")  # what would make another parameter of it
END: Final = b"\r\n"  # the empty line that ends a head
RawHeaders = tuple[tuple[bytes, bytes], ...]


class Known(NamedTuple):
    """What earlier answers taught about whoever asks: the hold of his session in seconds, and header fields of the last
    answer (names in lower case)."""

    hold: float | None = None
    headers: Mapping[str, str] = {}


class Routed(NamedTuple):
    """Where a path with captures in it led, by which router: whoever asks again mostly asks for the same."""

    router: "Router"
    method: str
    path: str
    found: "Found"


class Forwarded(NamedTuple):
    """Lines that go on to the upstream, and what they were made by."""

    shape: "RequestShape"
    identity: "Identity | None"
    lines: bytes


class LetIn(NamedTuple):
    """Whom a token of the request stands for: by which step he was let in, and in which era of what is remembered."""

    by: "object"
    identity: "Identity"
    era: int


class Arrived(NamedTuple):
    """What a call shows of a head, who read it there, and by which scheme that came."""

    by: "object"
    scheme: str
    arrival: "Arrival | None"


class Fields:
    """The header fields of a request without a body, and what was made of them: what the next request on the connection
    mostly repeats, byte for byte. Kept between ordinary calls only, and never while a poll is parked; and whatever is
    made of them only once they were repeated, for polls do not get that far."""

    __slots__ = ("arrived", "block", "forwarded", "headers", "host", "let_in", "raw_headers", "routed")

    def __init__(self, block: bytes, host: str, headers: CIMultiDictProxy[str], raw_headers: RawHeaders) -> None:
        self.block = block  # from behind the request line, with the empty line
        self.host = host
        self.headers = headers
        self.raw_headers = raw_headers
        self.arrived: Arrived | None = None
        self.routed: Routed | None = None
        self.forwarded: Forwarded | None = None
        self.let_in: LetIn | None = None


class RequestHead:
    """One parsed request head.

    `path` is the canonical path (`target.canonical_path`), `query` the raw text after `?` (no `#`, ASCII only),
    `raw_headers` the fields in the order and spelling they came in, `headers` the same, case-insensitive.
    `length` is the body's Content-Length in bytes, None when `chunked` or when there is no body (then 0 is meant).
    """

    __slots__ = (
        "_args", "chunked", "content", "expect", "fields", "framing", "headers", "host", "keep_alive", "known",
        "length", "method", "params", "path", "query", "raw_headers", "repeats", "scheme", "version",
    )  # fmt: skip

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        host: str,
        headers: CIMultiDictProxy[str],
        raw_headers: RawHeaders,
        version: int = 1,
        length: int | None = None,
        chunked: bool = False,
        keep_alive: bool = True,
        expect: bool = False,
        scheme: str = "http",
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.host = host  # lower case, with the port only if the client sent one
        self.headers = headers
        self.raw_headers = raw_headers
        self.version = version  # minor version of HTTP/1
        self.length = length
        self.chunked = chunked
        self.framing = "chunked" if chunked else "length" if length else None  # None: there is no body
        self.keep_alive = keep_alive
        self.expect = expect  # Expect: 100-continue
        self.scheme = scheme
        self.params: dict[str, str] | None = None  # what the route's path template captured
        self.content: Content | None = None  # the body, where the dialect has to read it
        self.known: Known | None = None  # what was learnt from earlier answers, where the dialect asks for it
        self.fields: Fields | None = None  # where the next request may have the same
        self.repeats: Fields | None = None  # where the request before had
        self._args: tuple[tuple[str, str], ...] | None = None

    @property
    def args(self) -> tuple[tuple[str, str], ...]:
        """The query's names and values, decoded, in order; parsed on first use."""
        if self._args is None:
            self._args = parse_query(self.query)
        return self._args

    def arg(self, name: str) -> str | None:
        """The first value of a query parameter, or None."""
        for key, value in self.args:
            if key == name:
                return value
        return None

    def without_arg(self, name: str) -> None:
        """Drops a query parameter from what is routed, logged and forwarded (a token in the query)."""
        self.query = remove_arg(self.query, name)
        self._args = None


class ResponseHead:
    """One parsed response head. `length` is None when the body is chunked or ends with the connection, `idle` how many
    seconds that connection may rest, a second less than it says itself, where it does.

    Shared between equal answers (`parse` remembers them), so it never changes; it is equal only to itself.
    """

    __slots__ = (
        "bodiless", "chunked", "dated", "headers", "idle", "keep_alive", "length", "raw_headers", "reason", "status",
        "version",
    )  # fmt: skip

    def __init__(
        self, status: int, reason: str, headers: CIMultiDictProxy[str], raw_headers: RawHeaders, version: int,
        length: int | None, chunked: bool, keep_alive: bool, idle: float | None = None,
    ) -> None:  # fmt: skip
        self.status = status
        self.bodiless = status < 200 or status in (204, 304)  # RFC 9112 6.3, rule 1
        self.reason = reason
        self.headers = headers
        self.raw_headers = raw_headers
        self.version = version
        self.length = length
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.idle = idle
        self.dated = "Date" in headers


def _decode(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


def parse_query(query: str) -> tuple[tuple[str, str], ...]:
    """Splits `a=1&b=2` into decoded pairs (WHATWG URL, application/x-www-form-urlencoded parsing)."""
    if not query:
        return ()
    pairs = [part.partition("=") for part in query.split("&") if part]
    if "%" in query or "+" in query:
        return tuple([(_decode(name), _decode(value)) for name, _, value in pairs])
    return tuple([(name, value) for name, _, value in pairs])


def remove_arg(query: str, name: str) -> str:
    """The query without any parameter of that decoded name."""
    return "&".join(part for part in query.split("&") if _decode(part.partition("=")[0]) != name)


def set_arg(query: str, name: str, value: str) -> str:
    """The query with the first parameter of that name set (others of the name dropped), or with it appended.

    `value` must need no escaping (durations do not).
    """
    written = f"{name if name.isidentifier() or not _NEEDS_ESCAPING.search(name) else quote_plus(name)}={value}"
    parts: list[str] = []
    done = False
    for part in query.split("&") if query else ():
        if _decode(part.partition("=")[0]) != name:
            parts.append(part)
        elif not done:
            parts.append(written)
            done = True
    if not done:
        parts.append(written)
    return "&".join(parts)

"""The only file that touches aiohttp's parsers. A fresh C parser reads one head at a time, cut out by the caller at
CRLFCRLF, and afterwards only that message's chunked body; it never sees a byte of the next message. What the C parser
lets pass and a proxy must not is refused here. `tests/wire` and `tests/unit/test_parse.py` are the contract with 3.14.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Any, Final

from aiohttp import hdrs, http_exceptions, http_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser, HttpResponseParser

from gateway.bodies import Body, ChunkedBody, CloseBody, LengthBody
from gateway.head import Fields, RequestHead, ResponseHead
from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.rush import Rush
from gateway.sockets import Inbox
from gateway.target import USUAL, Target, canonical_host, parse_target

# What nearly every request line is: it needs no parser, and its target is its own canon.
_USUAL_LINE: Final = re.compile(rb"(GET|POST|PUT|DELETE|PATCH|HEAD) " + USUAL.encode("ascii") + rb" HTTP/1\.1\r\n")
_METHODS: Final = {name.encode("ascii"): name for name in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD")}
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32} [\x21-\xff]+ HTTP/([0-9]\.[0-9])\r\n")
# What an upstream's head must be: the C parser lets it send bare LF, folded lines and controls, and each would split a
# response for somebody if it were relayed. Possessive, so that a malformed head costs one pass.
_RESPONSE_HEAD: Final = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*+)?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
_KEEP_ALIVE: Final = re.compile(r"\btimeout=(\d{1,6})", re.IGNORECASE)
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
MAX_FIELDS: Final = 256  # of an answer
_NO_LIMIT: Final = 1 << 30  # sizes are decided by own counts before a parser is fed
_REMEMBERED: Final = 512  # response heads, each of at most _REMEMBERED_SIZE bytes
_REMEMBERED_SIZE: Final = 1024
_MOST_FIELDS: Final = 2048  # bytes of header fields that a connection keeps for its next request
_NEVER_PAUSE: Final = 1 << 20  # a stream is emptied after every feed of at most 256 KiB, so it never pauses anyone

Message = Any  # what the C parsers make: like http_parser's RawRequestMessage and RawResponseMessage, but neither
Read = tuple[RequestHead, Body | None] | Refusal


class MissingParserError(Exception):
    """aiohttp was installed without its C parser, whose pure-Python twin is not safe enough for a proxy."""


def _bad(slug: str, detail: str, status: int = 400, outcome: Outcome = Outcome.BAD_REQUEST) -> Refusal:
    return Refusal(outcome, status, slug, detail, close=True)


MALFORMED: Final = _bad("malformed_request", "The request is not well-formed HTTP/1.1.")
BAD_HOST: Final = _bad("bad_host", "The request needs exactly one valid Host that agrees with its target.")
BAD_TARGET: Final = _bad("bad_target", "The request target is malformed or can be read in more than one way.")
TWO_CREDENTIALS: Final = _bad("two_credentials", "The request carries more than one Authorization field.")
BAD_VERSION: Final = _bad("http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505)
BAD_METHOD: Final = _bad("unknown_method", "The method is not known to this server.", 501)
BAD_ENCODING: Final = _bad("transfer_encoding", "The only transfer coding understood here is chunked.", 501)
BAD_EXPECT: Final = _bad("expectation", "The only expectation understood here is 100-continue.", 417)


class Parsers:
    """Makes parsers for one event loop; raises MissingParserError where aiohttp's C parser is not installed. What they
    are fed is read into `inbox`; who comes in a crowd waits in `rush`."""

    __slots__ = ("_flow", "_last", "_last_read", "_loop", "_remembered", "inbox", "rush")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        pure = (http_parser.HttpRequestParserPy, http_parser.HttpResponseParserPy)
        if HttpRequestParser is pure[0] or HttpResponseParser is pure[1]:
            raise MissingParserError(
                "aiohttp's C parser is missing (a pure-Python build, or AIOHTTP_NO_EXTENSIONS is set); "
                "install an aiohttp wheel for this platform and unset AIOHTTP_NO_EXTENSIONS"
            )
        self.inbox = Inbox()
        self.rush = Rush(loop)
        self._loop = loop
        self._flow = BaseProtocol(loop)  # what streams would pause; it stands for nobody
        # Thousands of polls woken by one event are answered with one head: a hit takes 0.2 us, reading takes 6.
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._read_response)
        self._last, self._last_read = b"", self._read_response(b"")

    def request(self, raw: bytes, scheme: str, before: Fields | None = None) -> Read:
        """Reads one request head, complete with its CRLFCRLF. Sizes were checked by the caller. `before`: the fields of
        the request before on this connection; one that repeats them costs a fifth of what reading them does."""
        line = _USUAL_LINE.match(raw)
        if line is None or not line[2]:
            return self._read_unusual(raw, scheme)
        block = raw[line.end() :]
        if before is not None and block == before.block:
            return _again(line, before, scheme), None
        target = Target(line[2].decode("ascii"), (line[3] or b"").decode("ascii"), None)
        read = self._read_request(raw, scheme, target)
        if not isinstance(read, Refusal) and read[1] is None and len(block) <= _MOST_FIELDS:
            head = read[0]
            if head.keep_alive and not head.expect and head.length is None:
                head.fields = Fields(block, head.host, head.headers, head.raw_headers)
        return read

    def _read_unusual(self, raw: bytes, scheme: str) -> Read:
        line = _REQUEST_LINE.match(raw)
        if line is None:
            return MALFORMED
        if line[1] != b"1.1" and line[1] != b"1.0":
            return BAD_VERSION
        return self._read_request(raw, scheme, None)

    def _read_request(self, raw: bytes, scheme: str, target: Target | None) -> Read:
        parser: Any = HttpRequestParser(
            self._flow, self._loop, _NEVER_PAUSE, max_line_size=_NO_LIMIT, max_field_size=_NO_LIMIT,
            max_headers=_NO_LIMIT, auto_decompress=False,
        )  # fmt: skip
        try:
            messages, _, rest = parser.feed_data(raw)
        except http_exceptions.BadHttpMethod:
            return BAD_METHOD
        except Exception:
            return MALFORMED
        if len(messages) != 1 or rest:
            return MALFORMED
        message, stream = messages[0]
        head = _request_head(message, scheme, target)
        if isinstance(head, Refusal):
            return head
        if head.framing is None:
            return head, None
        return head, ChunkedBody(parser, stream) if head.chunked else LengthBody(head.length or 0)

    def response(self, raw: bytes) -> ResponseHead | str:
        """Reads one response head. Returns the reason when it cannot be relayed."""
        if raw != self._last:  # a crowd is answered alike, and even to look it up takes ten times as long
            if len(raw) > _REMEMBERED_SIZE:
                return self._read_response(raw)
            self._last, self._last_read = raw, self._remembered(raw)
        return self._last_read

    def body(self, head: ResponseHead, raw: bytes, method: str) -> Body | None:
        """What follows that response head, which was read from `raw`; None where nothing does."""
        if head.bodiless or method == "HEAD":
            return None
        if head.chunked:
            return self._chunked_body(raw)
        if head.length is None:
            return CloseBody()
        return LengthBody(head.length) if head.length else None

    def _read_response(self, raw: bytes) -> ResponseHead | str:
        if not _RESPONSE_HEAD.fullmatch(raw):
            return "malformed head"
        try:
            messages, _, _ = self._response_parser(False).feed_data(raw)
        except Exception as error:
            return type(error).__name__
        if len(messages) != 1:
            return "malformed head"
        return _response_head(messages[0][0])

    def _response_parser(self, with_body: bool) -> Any:
        return HttpResponseParser(
            self._flow, self._loop, _NEVER_PAUSE, max_line_size=_NO_LIMIT, max_field_size=_NO_LIMIT,
            max_headers=_NO_LIMIT, auto_decompress=False, read_until_eof=True, response_with_body=with_body,
        )  # fmt: skip

    def _chunked_body(self, raw: bytes) -> ChunkedBody:
        """A second parser that has read the head and stands before the body: only chunked bodies need one."""
        parser = self._response_parser(True)
        messages, _, _ = parser.feed_data(raw)
        return ChunkedBody(parser, messages[0][1], passes=True)


def _again(line: re.Match[bytes], fields: Fields, scheme: str) -> RequestHead:
    """A head with fields that were read before."""
    method, path, query = line.groups(b"")
    head = RequestHead(
        _METHODS[method], path.decode("ascii"), query.decode("ascii"), fields.host, fields.headers, fields.raw_headers,
        scheme=scheme,
    )  # fmt: skip
    head.fields = head.repeats = fields
    return head


def _request_head(message: Message, scheme: str, target: Target | None) -> RequestHead | Refusal:
    """What the C parser let pass and a proxy must not. It has already refused a second Host, Content-Length or
    Transfer-Encoding field. `target` where it is known already."""
    headers = message.headers
    minor = message.version.minor
    coding = headers.get(hdrs.TRANSFER_ENCODING)
    length = headers.get(hdrs.CONTENT_LENGTH)
    if coding is not None:
        if minor == 0 or length is not None:
            return MALFORMED
        if coding.lower() != "chunked":
            return BAD_ENCODING
    if length is not None and not _DIGITS.fullmatch(length):
        return MALFORMED
    if len(headers.getall(hdrs.AUTHORIZATION, ())) > 1:
        return TWO_CREDENTIALS
    if target is None:
        target = parse_target(message.path)
    if target is None or (target.path == "*" and message.method != "OPTIONS"):
        return BAD_TARGET if message.method != "CONNECT" else _connect(message, scheme)
    host = _host(headers.get(hdrs.HOST), target.authority, minor)
    if host is None:
        return BAD_HOST
    expect = headers.get(hdrs.EXPECT)
    if expect is not None and expect.lower() != "100-continue":
        return BAD_EXPECT
    return RequestHead(
        message.method, target.path, target.query, host, headers, message.raw_headers, minor,
        int(length) if length is not None else None, coding is not None, not message.should_close,
        expect is not None and minor == 1, scheme,
    )  # fmt: skip


def _connect(message: Message, scheme: str) -> RequestHead:
    """CONNECT has an authority for a target; it is refused by method, so nothing else of it matters."""
    minor = message.version.minor
    return RequestHead(
        "CONNECT", "*", "", "", message.headers, message.raw_headers, minor, keep_alive=False, scheme=scheme
    )


def _host(value: str | None, authority: str | None, minor: int) -> str | None:
    """One Host, or none in HTTP/1.0 (RFC 9112 3.2); an absolute-form target must name the same authority."""
    if value is None:
        return None if minor else canonical_host(authority) if authority is not None else ""
    host = canonical_host(value)
    return None if authority is not None and authority != host else host


def _response_head(message: Message) -> ResponseHead | str:
    headers = message.headers
    if len(message.raw_headers) > MAX_FIELDS:
        return "too many fields"
    codings = headers.getall(hdrs.TRANSFER_ENCODING, ())
    lengths = headers.getall(hdrs.CONTENT_LENGTH, ())
    if codings and (lengths or len(codings) > 1 or codings[0].lower() != "chunked" or message.version.minor == 0):
        return "transfer coding"
    if len(lengths) > 1 or (lengths and not _DIGITS.fullmatch(lengths[0])):
        return "content length"
    idle = _KEEP_ALIVE.search(headers.get("Keep-Alive", ""))
    return ResponseHead(
        message.code, message.reason, headers, message.raw_headers, message.version.minor,
        int(lengths[0]) if lengths else None, bool(codings), not message.should_close,
        float(idle[1]) - 1.0 if idle is not None else None,
    )  # fmt: skip

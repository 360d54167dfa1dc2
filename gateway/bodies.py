"""Message bodies as they come off the wire, one class per framing (RFC 9112 6). A body takes bytes and says how many of
them were its own, so that not one byte of the next message is ever read as part of this one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from aiohttp.http_parser import HttpRequestParser, HttpResponseParser
    from aiohttp.streams import StreamReader

_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")


class BadBodyError(Exception):
    """A message body whose framing is broken: nothing after it on the connection can be trusted."""


class Body(Protocol):
    """The body of one message: `feed` takes bytes and returns (content, bytes consumed). `framed` is what it took, as a
    chunked answer is passed on; None where there are no chunks to keep."""

    ended: bool

    @property
    def framed(self) -> bytes | None: ...

    def feed(self, data: bytes) -> tuple[bytes, int]: ...


class LengthBody:
    """A body of a known number of bytes."""

    __slots__ = ("_left", "ended")
    framed = None

    def __init__(self, length: int) -> None:
        self._left = length
        self.ended = length == 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        taken = min(len(data), self._left)
        self._left -= taken
        self.ended = self._left == 0
        return (data if taken == len(data) else data[:taken]), taken


class CloseBody:
    """A body that ends with its connection (RFC 9112 6.3, rule 8)."""

    __slots__ = ("ended",)
    framed = None

    def __init__(self) -> None:
        self.ended = False

    def feed(self, data: bytes) -> tuple[bytes, int]:
        return data, len(data)


class Whole:
    """A body that is read whole before anything is decided about its request, as long as it is no longer than `limit`
    bytes: what has been read of it so far."""

    __slots__ = ("_content", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._content = bytearray()  # no list of pieces: one of two bytes would take forty

    @property
    def size(self) -> int:
        return len(self._content)

    def add(self, content: bytes) -> None:
        self._content += content

    def take(self) -> bytes:
        return bytes(self._content)


class ChunkScanner:
    """Finds where a chunked body ends, so that the C parser is never fed the next message. It decides only that;
    the parser decodes and validates, and both must agree on the end.

    `passed` collects what another recipient gets: the same chunks, each size as soon as it is known and bytes as they
    come, without extensions and trailers (RFC 9112 7.1). None: nobody wants it.
    """

    __slots__ = ("_left", "_line", "_trailer_size", "ended", "passed")

    MAX_LINE = 1024  # a chunk's size and extensions, or one trailer field
    MAX_TRAILERS = 8192

    def __init__(self, passed: list[bytes] | None = None) -> None:
        self.passed = passed
        self._left = 0  # bytes of the current chunk, its CRLF included
        self._line = b""
        self._trailer_size = -1  # -1 until the last chunk
        self.ended = False

    def scan(self, data: bytes) -> int:
        """Returns how many of these bytes belong to the body; raises BadBodyError."""
        at, size = 0, len(data)
        while at < size and not self.ended:
            if self._left:
                step = min(self._left, size - at)
                if self.passed is not None:
                    self.passed.append(data[at : at + step])
                self._left -= step
                at += step
                continue
            end = data.find(b"\n", at)
            stop = size if end < 0 else end + 1
            self._line += data[at:stop]
            at = stop
            if len(self._line) > self.MAX_LINE:
                raise BadBodyError("chunk line too long")
            if end >= 0:
                line, self._line = self._line, b""
                self._take_line(line)
        return at

    @property
    def between(self) -> bool:
        """Whether what was passed ends where a chunk does."""
        return not self._left

    def _take_line(self, line: bytes) -> None:
        if self._trailer_size >= 0:
            self._trailer_size += len(line)
            if not line.endswith(b"\r\n") or self._trailer_size > self.MAX_TRAILERS:
                raise BadBodyError("bad trailers")
            self.ended = line == b"\r\n"
            if self.ended and self.passed is not None:
                self.passed.append(b"0\r\n\r\n")
            return
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise BadBodyError("bad chunk size")
        length = int(match.group(1), 16)
        if length:
            self._left = length + 2
            if self.passed is not None:
                self.passed.append(match.group(1) + b"\r\n")
        else:
            self._trailer_size = 0


class ChunkedBody:
    """A chunked body (RFC 9112 7.1): decoded by the C parser, its end found by the scanner. Trailers are dropped.
    With `passes` its chunks are kept apart for who gets them next."""

    __slots__ = ("_parser", "_scanner", "_stream", "ended", "framed")

    def __init__(
        self, parser: HttpRequestParser | HttpResponseParser, stream: StreamReader, passes: bool = False
    ) -> None:
        self._parser = parser
        self._stream = stream
        self._scanner = ChunkScanner([] if passes else None)
        self.ended = False
        self.framed: bytes | None = b"" if passes else None

    @property
    def between(self) -> bool:
        """Whether a chunk of somebody else may follow what was passed on."""
        return self._scanner.between

    def feed(self, data: bytes) -> tuple[bytes, int]:
        taken = self._scanner.scan(data)
        try:
            self._parser.feed_data(data if taken == len(data) else data[:taken])
        except Exception as error:
            raise BadBodyError(type(error).__name__) from None
        stream = self._stream
        if stream.exception() is not None or stream.is_eof() != self._scanner.ended:
            raise BadBodyError("chunked framing")
        self.ended = self._scanner.ended
        passed = self._scanner.passed
        if passed is not None:
            self.framed = b"".join(passed)
            passed.clear()
        return stream.read_nowait(-1), taken

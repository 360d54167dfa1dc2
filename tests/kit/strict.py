"""HTTP/1.1 read as RFC 9112 writes it and not one byte more kindly: what the kit accepts, all recipients read
the same way. Pure generators over a Source; no sockets. `Broken` is a fault in the bytes, `Cut` an early end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]+) HTTP/1\.([01])\r\n")
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) ([\t !-~\x80-\xff]*)\r\n")
FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([!-~\x80-\xff](?:[\t !-~\x80-\xff]*[!-~\x80-\xff])?)?[ \t]*\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
BODILESS = (204, 304)


class Broken(Exception):  # noqa: N818 - reads as what it is
    """The bytes are not the HTTP that RFC 9112 describes, or are framed in two ways at once."""


class Cut(Exception):  # noqa: N818
    """The connection ended inside a message; `message` is what there is of it, None if not even a head."""

    def __init__(self, message: Message | None) -> None:
        super().__init__(f"cut in {message}")
        self.message = message


@dataclass
class Source:
    """Bytes as they arrive; readers take them from the front. `eof` says that no more will come."""

    data: bytearray = field(default_factory=bytearray)
    eof: bool = False


@dataclass
class Message:
    """One request or response. `start` holds (method, target, minor) or (minor, status, reason)."""

    start: tuple[str, str, str]
    headers: list[tuple[str, str]]
    raw_head: bytes
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False
    framing: str = "none"  # "none", "length", "chunked", "eof"
    interim: list[Message] = field(default_factory=list)

    @property
    def method(self) -> str:
        return self.start[0]

    @property
    def target(self) -> str:
        return self.start[1]

    @property
    def status(self) -> int:
        return int(self.start[1])

    @property
    def minor(self) -> str:
        return self.start[0] if self.start[1].isdigit() else self.start[2]

    def all(self, name: str) -> list[str]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str | None:
        """The only value of a field, None when absent; AssertionError when it stands there twice."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} stands {len(values)} times: {values}"
        return values[0] if values else None


Reading = Generator[None, None, Message]  # yields whenever it needs more bytes


def advance(reading: Reading) -> Message | None:
    """Lets a reading go on with the bytes that are there: the whole message, or None when it needs more."""
    try:
        next(reading)
    except StopIteration as done:
        message: Message = done.value
        return message
    return None


def _more(source: Source, message: Message | None) -> Generator[None, None, None]:
    if source.eof:
        raise Cut(message)
    yield


def read_head(source: Source, line: re.Pattern[bytes]) -> Generator[None, None, Message]:
    """One head. Raises Broken, or Cut when the source ends inside it."""
    while (end := source.data.find(b"\r\n\r\n")) < 0:
        if b"\n" in source.data.replace(b"\r\n", b""):
            raise Broken(f"bare LF: {bytes(source.data[:200])!r}")
        yield from _more(source, None)
    head = bytes(source.data[: end + 2])
    del source.data[: end + 4]
    start = line.match(head)
    if start is None:
        raise Broken(f"start line: {head[:200]!r}")
    return Message(_text(*start.groups()), _fields(head, start.end()), head)


def _text(*parts: bytes) -> tuple[str, str, str]:
    one, two, three = (part.decode("latin-1") for part in parts)
    return one, two, three


def _fields(head: bytes, at: int) -> list[tuple[str, str]]:
    found = []
    while at < len(head):
        match = FIELD.match(head, at)
        if match is None:
            raise Broken(f"field: {head[at : at + 200]!r}")
        found.append((match[1].decode(), (match[2] or b"").decode("latin-1")))
        at = match.end()
    return found


def _framing(message: Message, otherwise: str) -> str:
    codings, lengths = message.all("Transfer-Encoding"), message.all("Content-Length")
    if codings and lengths:
        raise Broken("Content-Length beside Transfer-Encoding")
    if codings:
        if codings != ["chunked"] or message.minor != "1":
            raise Broken(f"Transfer-Encoding {codings} on HTTP/1.{message.minor}")
        return "chunked"
    if lengths:
        if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
            raise Broken(f"Content-Length {lengths}")
        return "length"
    return otherwise


def _read_length(source: Source, message: Message) -> Generator[None, None, None]:
    left = int(message.all("Content-Length")[0])
    while left:
        if not source.data:
            yield from _more(source, message)
        part = source.data[:left]
        del source.data[:left]
        message.body += part
        left -= len(part)


def _read_chunked(source: Source, message: Message) -> Generator[None, None, None]:
    while True:
        while (end := source.data.find(b"\r\n")) < 0:
            yield from _more(source, message)
        size = CHUNK.fullmatch(source.data[: end + 2])
        if size is None:
            raise Broken(f"chunk size: {bytes(source.data[: end + 2])[:60]!r}")
        count = int(size[1], 16)
        del source.data[: end + 2]
        while len(source.data) < count + 2:
            yield from _more(source, message)
        if source.data[count : count + 2] != b"\r\n":
            raise Broken("no CRLF after a chunk (or a trailer, which nobody may forward)")
        message.body += source.data[:count]
        del source.data[: count + 2]
        if not count:
            return


def _read_body(source: Source, message: Message) -> Generator[None, None, None]:
    if message.framing == "length":
        yield from _read_length(source, message)
    elif message.framing == "chunked":
        yield from _read_chunked(source, message)
    elif message.framing == "eof":
        while not source.eof:
            message.body += source.data
            source.data.clear()
            yield
        message.body += source.data
        source.data.clear()
    message.complete = True


def read_request(source: Source, begun: Callable[[Message], object] = lambda _: None) -> Reading:
    """One request; `begun` is told of it as soon as its head is whole."""
    message = yield from read_head(source, REQUEST_LINE)
    message.framing = _framing(message, "none")
    if len(message.all("Host")) != 1 and message.minor == "1":
        raise Broken(f"Host {message.all('Host')}")
    begun(message)
    yield from _read_body(source, message)
    return message


def read_response(source: Source, method: str = "GET") -> Reading:
    """One final response to a request of that method; 1xx before it are in `interim`."""
    interim: list[Message] = []
    while (message := (yield from read_head(source, STATUS_LINE))).status < 200 and message.status != 101:
        interim.append(message)
    message.interim = interim
    message.framing = _framing(message, "eof")
    if method == "HEAD" or message.status in BODILESS or message.status < 200:
        message.framing = "none"
    yield from _read_body(source, message)
    return message

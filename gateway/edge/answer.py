"""Answers as bytes for one client connection: framing, persistence and the date, for what the gateway says itself and
for what it relays. Pure but for the wall clock's second.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final

from gateway.head import END, ResponseHead
from gateway.pipeline import HeaderList
from gateway.problem import reason
from gateway.upstream.headers import Drops, response_head

_BODILESS: Final = (204, 304)
_wall: Final = time.time
Relayed = tuple[bytes, bool, bool]  # a head but for its END, whether its body is chunked, whether the connection stays


@lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """The Date of this second (RFC 9110 5.6.7), formatted once."""
    return formatdate(second, usegmt=True).encode("ascii")


def persistence(version: int, keep: bool) -> bytes:
    """What has to be said about the connection: nothing, where the version's default is meant (RFC 9112 9.3)."""
    if version == 1:
        return b"" if keep else b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"


def answer_bytes(
    status: int, headers: HeaderList, body: bytes, method: str, version: int, keep: bool, fresh: bytes = END
) -> bytes:
    """A whole answer of the gateway's own, whose head ends with `fresh`. HEAD gets the head of what GET would get."""
    lines = [b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, reason(status).encode("ascii"), http_date(int(time.time())))]
    lines += [b"%b: %b\r\n" % field for field in headers]
    if status not in _BODILESS:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines.append(persistence(version, keep))
    lines.append(fresh)
    if method != "HEAD" and status not in _BODILESS:
        lines.append(body)
    return b"".join(lines)


class _Last:
    """What was asked and said last: a crowd is answered alike, and to look into a cache with seven keys is 2 % of a
    wake."""

    __slots__ = ("drops", "extra", "head", "keep", "method", "relayed", "second", "version")

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.drops: Drops | None = None
        self.extra = b""
        self.method = ""
        self.version = 0
        self.keep = False
        self.second = 0
        self.relayed: Relayed = (b"", False, False)


_LAST: Final = _Last()


def relay_bytes(head: ResponseHead, drops: Drops, extra: bytes, method: str, version: int, keep: bool) -> Relayed:
    """An upstream's head for this client but for its END (lines of one call alone may follow), whether its body is
    chunked from here, and whether the connection stays."""
    second, last = 0 if head.dated else int(_wall()), _LAST
    if (
        head is last.head
        and drops is last.drops
        and extra == last.extra
        and method == last.method
        and version == last.version
        and keep is last.keep
        and second == last.second
    ):
        return last.relayed
    relayed = _relay_bytes(head, drops, extra, method == "HEAD", version, keep, second)
    last.head, last.drops, last.extra, last.method, last.version = head, drops, extra, method, version
    last.keep, last.second, last.relayed = keep, second, relayed
    return relayed


@lru_cache(maxsize=512)  # as many as `parse` remembers: equal answers are written alike
def _relay_bytes(
    head: ResponseHead, drops: Drops, extra: bytes, bodiless: bool, version: int, keep: bool, second: int
) -> Relayed:
    chunked = False
    if head.length is None and not bodiless and head.status not in _BODILESS:
        chunked = version == 1
        keep = keep and chunked  # to HTTP/1.0 a body of unknown length ends with its connection
    if second:  # RFC 9110 6.6.1
        extra += b"Date: %b\r\n" % http_date(second)
    if chunked:
        extra += b"Transfer-Encoding: chunked\r\n"
    return response_head(head, drops, extra + persistence(version, keep)).removesuffix(END), chunked, keep

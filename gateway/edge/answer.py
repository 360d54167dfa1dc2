"""Answers as bytes for one client connection: framing, persistence and the date, for what the gateway says itself and
for what it relays. Pure but for the wall clock's second.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache

from gateway.head import ResponseHead
from gateway.pipeline import HeaderList
from gateway.problem import reason
from gateway.upstream.headers import Drops, response_head

_BODILESS = (204, 304)


@lru_cache(maxsize=2)
def http_date(second: int) -> bytes:
    """The Date of this second (RFC 9110 5.6.7), formatted once."""
    return formatdate(second, usegmt=True).encode("ascii")


def persistence(version: int, keep: bool) -> bytes:
    """What has to be said about the connection: nothing, where the version's default is meant (RFC 9112 9.3)."""
    if version == 1:
        return b"" if keep else b"Connection: close\r\n"
    return b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"


def answer_bytes(status: int, headers: HeaderList, body: bytes, method: str, version: int, keep: bool) -> bytes:
    """A whole answer of the gateway's own. HEAD gets the head of what GET would get."""
    lines = [b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, reason(status).encode("ascii"), http_date(int(time.time())))]
    lines += [b"%b: %b\r\n" % field for field in headers]
    if status not in _BODILESS:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    lines.append(persistence(version, keep))
    lines.append(b"\r\n")
    if method != "HEAD" and status not in _BODILESS:
        lines.append(body)
    return b"".join(lines)


def relay_bytes(head: ResponseHead, drops: Drops, extra: bytes, method: str, version: int,
                keep: bool) -> tuple[bytes, bool, bool]:  # fmt: skip
    """An upstream's head for this client, whether its body is chunked from here, and whether the connection stays."""
    chunked = False
    bodiless = method == "HEAD" or head.status in _BODILESS
    if head.length is None and not bodiless:
        chunked = version == 1
        keep = keep and chunked  # to HTTP/1.0 a body of unknown length ends with its connection
    if "Date" not in head.headers:  # RFC 9110 6.6.1
        extra += b"Date: %b\r\n" % http_date(int(time.time()))
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    if version == 0 or not keep:
        framing += persistence(version, keep)
    return response_head(head, drops, extra + framing), chunked, keep

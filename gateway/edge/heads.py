"""Cutting request heads out of a buffer, with the limits on what a client may make long. Sizes are counted here and not
left to a parser, so that 414, 431 and 400 are told apart by what was sent and not by an error's text. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway import refusals
from gateway.pipeline import Refusal

if TYPE_CHECKING:
    from gateway.shapes import EdgeLimits


def take_head(buffer: bytes, limits: EdgeLimits) -> tuple[bytes | Refusal | None, bytes]:
    """The first head in the buffer with its empty line, and what comes after it.

    None where it is not complete yet. A Refusal where it never can be, or is too large.
    """
    if buffer[:1] in (b"\r", b"\n"):
        buffer = buffer.lstrip(b"\r\n")  # empty lines before a request line are skipped (RFC 9112 2.2)
    end = buffer.find(b"\r\n\r\n", 0, limits.max_head)
    if end < 0:
        return _unfinished(buffer, limits), buffer
    raw, rest = buffer[: end + 4], buffer[end + 4 :]
    if raw.find(b"\r\n") > limits.max_line:
        return refusals.LINE_TOO_LONG, rest
    return raw, rest


def _unfinished(buffer: bytes, limits: EdgeLimits) -> Refusal | None:
    if len(buffer) > limits.max_line and buffer.find(b"\n", 0, limits.max_line + 2) < 0:
        return refusals.LINE_TOO_LONG
    if len(buffer) >= limits.max_head:
        return refusals.HEAD_TOO_LARGE
    if buffer.count(b"\n") != buffer.count(b"\r\n"):
        return refusals.MALFORMED  # a bare LF never becomes the end of a head: it would be waited on for ever
    return None

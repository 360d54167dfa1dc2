"""Where WebSocket frames begin and end in a stream (RFC 6455 5.2), and the one kind of frame the gateway writes itself.
Nothing is unmasked, put together or looked into: bytes pass as they came. Pure.
"""

from __future__ import annotations

from random import getrandbits
from typing import Final

_UNKNOWN: Final = 127  # a length in one byte that says nothing yet
CLOSE: Final = 0x88  # the first byte of a Close frame: it is never fragmented


def frame_end(data: bytes, at: int) -> int:
    """Where the frame ends that begins at `at`; 0 while not enough of its header is there to say."""
    here = len(data) - at
    if here < 2:
        return 0
    second = data[at + 1]
    length, header = second & 127, 6 if second & 128 else 2
    if length == 126:
        if here < 4:
            return 0
        length, header = int.from_bytes(data[at + 2 : at + 4], "big"), header + 2
    elif length == 127:
        if here < 10:
            return 0
        length, header = int.from_bytes(data[at + 2 : at + 10], "big"), header + 8
    return at + header + length


def walk(data: bytes, at: int) -> tuple[int, bool]:
    """Goes over the frames of `data`, the first of which begins at `at`. Returns where the last one that can be told
    ends, which may be beyond `data`, and whether a Close frame was among them."""
    size, closed = len(data), False
    while at < size:
        begun, length = at, data[at + 1] if at + 1 < size else _UNKNOWN
        if length < 126:  # short and from a server
            at += length + 2
        elif 128 <= length < 254:  # short and masked
            at += length - 122
        else:
            end = frame_end(data, at)
            if not end:
                break
            at = end
        if data[begun] == CLOSE:
            closed = True
    return at, closed


def close_frame(code: int, masked: bool) -> bytes:
    """A Close frame with nothing but its code. What goes to a server is masked (RFC 6455 5.3)."""
    body = code.to_bytes(2, "big")
    if not masked:
        return b"\x88\x02" + body
    mask = getrandbits(32).to_bytes(4, "big")
    return b"\x88\x82" + mask + bytes([body[0] ^ mask[0], body[1] ^ mask[1]])

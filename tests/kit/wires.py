"""A stand-in for a transport, for tests that move the clock of a connection by hand: it records what the connection
does to it. What real transports do is tested in tests/wire.
"""

from __future__ import annotations

from typing import Any


class Wire:
    """`sent` is what was written, `waiting` how much of it the other side has not taken, `ended` how it was ended."""

    def __init__(self, peer: str = "192.0.2.7") -> None:
        self.peer = peer
        self.sent = b""
        self.waiting = 0
        self.reading = True
        self.ended = ""

    def write(self, data: bytes) -> None:
        self.sent += data

    def write_eof(self) -> None:
        self.ended = "eof"

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> Any:
        return (self.peer, 1234) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended in ("closed", "reset")

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "reset"

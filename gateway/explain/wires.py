"""What stands in for a network on the stage: transports that lead nowhere, and a loop whose time is moved by hand."""

from __future__ import annotations

import asyncio


class StillLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until `instant` is set: deadlines are handed to it and never come."""

    instant = 0.0

    def time(self) -> float:
        return self.instant

    def turn(self) -> None:
        """What is left for the next turn of the loop happens."""
        self.call_soon(self.stop)
        self.run_forever()


class Wire(asyncio.Transport):
    """A transport that leads nowhere: it keeps what was written, and notes its end."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 0)} if peer else {})
        self.written = b""
        self.over: str | None = None  # "closed" or "reset"

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.over = self.over or "closed"

    def abort(self) -> None:
        self.over = self.over or "reset"

    def is_closing(self) -> bool:
        return self.over is not None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Nobody reads here."""

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is ever buffered."""

    def pause_reading(self) -> None:
        """Nothing is ever read."""

    def resume_reading(self) -> None:
        """Nothing is ever read."""

"""What a call may ask of its two sides, the client's connection and the upstream's; `serve` knows no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import ResponseHead
    from gateway.pipeline import HeaderList
    from gateway.upstream.headers import Drops
    from gateway.upstream.http1 import UpstreamConnection


class Conn(Protocol):
    """The client's side. What sends something returns True when all of it has left our buffer; otherwise
    `serve.on_drained` follows. `framed` is `data` in the upstream's own chunks, where it sent any."""

    scheme: str

    @property
    def certificate(self) -> str | None:
        """Whose certificate the client showed, verified; None: none."""

    def answer(self, status: int, headers: HeaderList, body: bytes, close: bool, fresh: bytes) -> bool: ...

    def begin(self, head: ResponseHead, drops: Drops, extra: bytes, fresh: bytes, data: bytes, ended: bool,
              framed: bytes | None) -> bool: ...  # fmt: skip

    def switch(
        self, head: ResponseHead, drops: Drops, extra: bytes, fresh: bytes, up: UpstreamConnection, data: bytes
    ) -> Glued: ...

    def write(self, data: bytes, framed: bytes | None = None) -> None: ...

    def finish(self) -> bool: ...

    def hint(self, head: ResponseHead, drops: Drops) -> None: ...

    def cut(self) -> None: ...

    def abort(self, *, reset: bool) -> None: ...

    def read_whole(self, limit: int) -> None: ...

    def start_upload(self) -> None: ...

    def pause_upload(self) -> None: ...

    def resume_upload(self) -> None: ...

    def settled(self, call: Call) -> None: ...


class Up(Protocol):
    """The upstream's side: a connection, or one that is being made."""

    def upload(self, data: bytes, ended: bool) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...


class Glued(Up, Protocol):
    """Both sides, after a 101. When both connections are lost one event says how it ended."""

    @property
    def last(self) -> float: ...

    @property
    def passed(self) -> tuple[int, int]: ...

    def end(self, code: int) -> None: ...


class Reading:
    """Stands on the upstream's side while a body is read that decides what the call is: nothing was sent yet."""

    __slots__ = ()

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a body that is read whole is not passed on in pieces")

    def pause(self) -> None:
        """Nothing is read yet."""

    def resume(self) -> None:
        """Nothing was paused."""

    def cancel(self) -> None:
        """The client is not told to stop: what it still sends is thrown away."""


READING: Final = Reading()

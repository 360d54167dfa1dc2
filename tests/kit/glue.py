"""A tunnel that stands still, for tests of the life of a call: what asks for one, and what stands for its two sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.policies.websocket import accept_of, compile_upgrades

if TYPE_CHECKING:
    from .serving import Scene

UPGRADES = compile_upgrades(["websocket"], [], [], 75.0, 3600.0)
HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
AGREED = {"Connection": "Upgrade", "Upgrade": "websocket",
          "Sec-WebSocket-Accept": accept_of(HANDSHAKE["Sec-WebSocket-Key"])}  # fmt: skip


class Glue:
    """Both connections of a tunnel, silent. When it is ended they are lost in the next turn of the loop."""

    passed = (7, 70)

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.last = scene.loop.now
        self.codes: list[int] = []

    def end(self, code: int) -> None:
        self.codes.append(code)
        self.scene.loop.call_soon(lambda: self.scene.serve.on_end(self.scene.call))

    def cancel(self) -> None:
        """Both are lost at once."""

    def pause(self) -> None:
        raise AssertionError("a tunnel holds back by itself")

    def resume(self) -> None:
        raise AssertionError("a tunnel holds back by itself")

    def upload(self, data: bytes, ended: bool) -> None:
        raise AssertionError("a tunnel has no body")

"""How a Redis server is spoken to: the scripts it runs for us, names of keys that tell nobody who is counted, and asks
as they go over the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import hiredis

if TYPE_CHECKING:
    from gateway.call import Call

MOST_NAMES: Final = 20_000  # kept; a name is made again in a microsecond

# Of a place: its name, that of the poller where it matters who that is, and how many may wait for one.
Mark = tuple[str, str, int]


class Script:
    """One file of `lua/`, called by its digest once the server has it."""

    __slots__ = ("digest", "text")

    def __init__(self, name: str, change: Callable[[str], str] = lambda text: text) -> None:
        self.text = change(resources.files("gateway.state").joinpath("lua", f"{name}.lua").read_text("utf-8"))
        self.digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def load(self) -> bytes:
        return packed("SCRIPT", "LOAD", self.text)

    def call(self, prefix: str, *arguments: str | bytes | int | float) -> bytes:
        return packed("EVALSHA", self.digest, 1, f"{prefix}:nodes", *arguments)

    def call_whole(self, prefix: str, *arguments: str | bytes) -> bytes:
        """For a server that has forgotten it."""
        return packed("EVAL", self.text, 1, f"{prefix}:nodes", *arguments)


def can_end(call: Call) -> bool:
    """Whether it will ever be `evictable`: who ends it looks again."""
    hold = call.hold
    return call.blank is not None or call.upgrade is not None or (hold is not None and hold.tells_apart)


class Names(dict[tuple[str, ...], str]):
    """A limit, who is counted under it, and perhaps who polls -> the name by which the server knows that: bounded in
    length, and a secret to who reads its keys."""

    def __missing__(self, key: tuple[str, ...]) -> str:
        if len(self) >= MOST_NAMES:
            self.clear()
        text = "\0".join(key).encode("utf-8", "surrogatepass")
        name = self[key] = hashlib.blake2b(text, digest_size=12).hexdigest()
        return name


def packed(*words: str | bytes | int | float) -> bytes:
    """A command."""
    found: Any = hiredis.pack_command(words)  # type: ignore[arg-type]
    return bytes(found)

"""How processes that share a store tell each other what happened to their calls. Word may get lost with who was to hear
it; nobody waits for it longer than a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from gateway.machine.link import Handler, Link

Word = dict[str, Any]
Heard = Callable[[Word], None]


class Bus(Protocol):
    def send(self, owner: str, word: Word) -> None:
        """To the process of that name; one that is gone hears nothing."""

    def listen(self, owner: str, heard: Heard) -> None:
        """From now on this process, which goes by that name, hears what is sent to it."""


class Room:
    """A bus for stores of one loop: several in one process, or one that has nobody to talk to."""

    __slots__ = ("_heard", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heard: dict[str, Heard] = {}

    def send(self, owner: str, word: Word) -> None:
        heard = self._heard.get(owner)
        if heard is not None:
            self._loop.call_soon(heard, word)

    def listen(self, owner: str, heard: Heard) -> None:
        self._heard[owner] = heard

    def leave(self, owner: str) -> None:
        self._heard.pop(owner, None)


class LinkBus:
    """Between the workers of a machine: their supervisor passes word on."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    def send(self, owner: str, word: Word) -> None:
        self._link.tell("pass", to=owner, name="heard", data={"word": word})

    def listen(self, owner: str, heard: Heard) -> None:
        cast("dict[str, Handler]", self._link.handlers)["heard"] = heard

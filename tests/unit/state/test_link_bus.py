"""Word between workers by way of their supervisor, over real pairs of sockets: as told, in order, and to nobody where
there is nobody.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from gateway.machine.link import Link
from gateway.state.bus import LinkBus, Word
from tests.kit.waiting import until


class Machine:
    """A supervisor that passes word on to the workers it has."""

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}

    def passes(self, to: str, name: str, data: dict[str, Any]) -> None:
        if to in self.links:
            self.links[to].tell(name, **data)

    async def worker(self, owner: str) -> tuple[LinkBus, list[Word], Link]:
        ours, theirs = socket.socketpair()
        self.links[owner] = await Link.over(ours, {"pass": self.passes})
        link = await Link.over(theirs, {})
        bus, heard = LinkBus(link), list[Word]()
        bus.listen(owner, lambda word: heard.append(word))
        return bus, heard, link

    def close(self) -> None:
        for link in self.links.values():
            link.close()


async def test_word_comes_to_whom_it_is_for_as_it_was_said_and_in_order() -> None:
    machine = Machine()
    one, _, _ = await machine.worker("a" * 16)
    _, heard, _ = await machine.worker("b" * 16)
    _, others, _ = await machine.worker("c" * 16)
    words: list[Word] = [{"turn": f"{number:032x}"} for number in range(500)]
    words.append({"end": 2**62, "by": "a call", "from": "a" * 16, "as": 7})
    for word in words:
        one.send("b" * 16, word)
    await until(lambda: len(heard) == len(words))
    assert heard == words and not others
    machine.close()


async def test_word_for_who_is_gone_is_lost_and_stops_nobody() -> None:
    machine = Machine()
    one, _, _ = await machine.worker("a" * 16)
    _, heard, _ = await machine.worker("b" * 16)
    _, _, gone = await machine.worker("c" * 16)
    gone.close()
    await asyncio.wait_for(asyncio.shield(machine.links["c" * 16].lost), 5)
    for to in ("c" * 16, "d" * 16, "b" * 16):
        one.send(to, {"turn": "00"})
    await until(lambda: bool(heard))
    assert heard == [{"turn": "00"}]
    machine.close()


async def test_a_worker_whose_supervisor_is_gone_says_it_to_nobody() -> None:
    machine = Machine()
    bus, heard, link = await machine.worker("a" * 16)
    machine.close()
    await asyncio.wait_for(asyncio.shield(link.lost), 5)
    bus.send("a" * 16, {"turn": "00"})
    assert not heard

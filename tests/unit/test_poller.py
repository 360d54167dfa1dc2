"""Who is told when by a poller, and what becomes of those it watches when it ends."""

from __future__ import annotations

import asyncio
import socket

from gateway.poller import Poller
from gateway.transport import Transport
from tests.unit.test_transport import Told


def test_where_nobody_watches_a_connection_ends_at_once() -> None:
    async def main() -> None:
        near, peer = socket.socketpair()
        poller, told = Poller(asyncio.get_running_loop()), Told()
        poller.close()
        with peer:
            Transport.attach(poller, near, told)
            await asyncio.wait_for(told.lost, 20)
            assert told.events == ["made", type(None)] and peer.recv(1) == b""

    asyncio.run(main())


def test_an_end_of_the_poller_ends_all_it_watches() -> None:
    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(3)]
        poller, all_told = Poller(asyncio.get_running_loop()), [Told() for _ in pairs]
        for (near, _), told in zip(pairs, all_told, strict=True):
            near.setblocking(False)
            Transport.attach(poller, near, told)
        poller.close()
        for (_, peer), told in zip(pairs, all_told, strict=True):
            await asyncio.wait_for(told.lost, 20)
            assert peer.recv(1) == b""
            peer.close()

    asyncio.run(main())


def test_what_a_turn_has_no_room_for_comes_in_the_next() -> None:
    async def main() -> None:
        pairs = [socket.socketpair() for _ in range(5)]
        poller, all_told = Poller(asyncio.get_running_loop(), most=2), [Told() for _ in pairs]
        for (near, peer), told in zip(pairs, all_told, strict=True):
            near.setblocking(False)
            Transport.attach(poller, near, told)
            peer.sendall(b"news")
        poller._ready()
        assert sum(bool(told.data) for told in all_told) == 2
        for told in all_told:
            await told.until(lambda told=told: told.data == b"news")  # type: ignore[misc]
        poller.close()
        for told, (_, peer) in zip(all_told, pairs, strict=True):
            await asyncio.wait_for(told.lost, 20)
            peer.close()

    asyncio.run(main())

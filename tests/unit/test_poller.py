"""Who is told when by a poller, and what becomes of those it watches when it ends."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.poller import TOGETHER, Poller
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


# -- what leaves together ---------------------------------------------------------------------------------------------


class Echo(Told):
    """Answers at once, and looks what its peers have by then."""

    def __init__(self, peers: list[socket.socket]) -> None:
        super().__init__()
        self.peers = peers
        self.seen: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.transport.write(b"1" + data)
        self.seen = [arrived(peer) for peer in self.peers]
        self.transport.write(b"2" + data)


def arrived(peer: socket.socket) -> bytes:
    try:
        return peer.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return b""


@asynccontextmanager
async def echoes(count: int) -> AsyncIterator[tuple[Poller, list[Echo], list[socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(count)]
    peers = [peer for _, peer in pairs]
    poller, all_told = Poller(asyncio.get_running_loop()), [Echo(peers) for _ in pairs]
    for (near, _), told in zip(pairs, all_told, strict=True):
        near.setblocking(False)
        Transport.attach(poller, near, told)
    yield poller, all_told, peers
    poller.close()
    for told, peer in zip(all_told, peers, strict=True):
        await asyncio.wait_for(told.lost, 20)
        peer.close()


def test_what_is_written_while_several_are_told_leaves_when_all_were() -> None:
    async def main() -> None:
        async with echoes(3) as (poller, all_told, peers):
            for peer in peers:
                peer.sendall(b"x")
            poller._ready()
            assert all(told.seen == [b"", b"", b""] for told in all_told)
            assert [arrived(peer) for peer in peers] == [b"1x2x"] * 3

    asyncio.run(main())


def test_where_one_is_told_alone_it_leaves_at_once() -> None:
    async def main() -> None:
        async with echoes(3) as (poller, all_told, peers):
            peers[1].sendall(b"x")
            poller._ready()
            assert all_told[1].seen == [b"", b"1x", b""]

    asyncio.run(main())


def test_of_a_great_crowd_nobody_waits_for_the_last() -> None:
    async def main() -> None:
        async with echoes(TOGETHER + 1) as (poller, all_told, peers):
            for peer in peers:
                peer.sendall(b"x")
            poller._ready()
            last = max(all_told, key=lambda told: sum(map(bool, told.seen)))
            assert sum(map(bool, last.seen)) == TOGETHER

    asyncio.run(main())


def test_what_was_written_is_not_lost_to_an_end_or_a_bug_in_the_same_turn() -> None:
    class Ends(Echo):
        how = "close"

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)
            if self.how == "bug":
                raise ValueError("a bug")
            getattr(self.transport, self.how)()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        pairs = [socket.socketpair() for _ in range(4)]
        poller = Poller(asyncio.get_running_loop())
        ends = [Ends([]) for _ in pairs]
        for (near, peer), told, how in zip(pairs, ends, ("close", "abort", "bug", "write_eof"), strict=True):
            near.setblocking(False)
            told.how = how
            Transport.attach(poller, near, told)
            peer.sendall(b"x")
        poller._ready()
        await asyncio.sleep(0)  # an error is told in the next turn, and only then the socket is closed
        for _, peer in pairs:
            assert (peer.recv(9), peer.recv(9)) == (b"x", b"")
        poller.close()
        for told, (_, peer) in zip(ends, pairs, strict=True):
            await asyncio.wait_for(told.lost, 20)
            peer.close()

    asyncio.run(main())

"""All listening sockets of the process, used together and closed together, with the certificates they show."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Collection, Iterator

from gateway.edge.accept import BATCH, Acceptor
from gateway.edge.edge import Edge
from gateway.edge.listen import Bound


class Listeners:
    """Takes connections off `bound`, in each turn at most so many; those of TCP speak TLS when `tls` is given."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, edge: Edge, bound: Bound, tls: ssl.SSLContext | None, batch: int = BATCH
    ) -> None:
        self.ports: list[int] = []
        self._acceptors: dict[str, list[Acceptor]] = {}  # by address
        self._bound = bound
        self._neighbours = edge.room.neighbours
        if self._neighbours is not None:
            self._neighbours.join(edge.room.open)
        for name, sock in ((name, sock) for name, some in bound.sockets.items() for sock in some):
            here = sock.family == socket.AF_UNIX  # who can reach a unix socket is on this machine
            if not here:
                self.ports.append(sock.getsockname()[1])
            acceptor = Acceptor(loop, edge, sock, None if here else tls, batch)
            self._acceptors.setdefault(name, []).append(acceptor)

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Shows, and asks for, other certificates from the next handshake on."""
        for acceptor in self._all():
            if acceptor.tls is not None and tls is not None:
                acceptor.tls = tls

    def close(self) -> None:
        """Takes nobody new; who is connected stays."""
        self._leave()
        for name, acceptors in self._acceptors.items():
            for acceptor in acceptors:
                acceptor.close(last=not name.startswith("fd:"))  # that socket stays with whoever opened it

    def hand_over(self, addresses: Collection[str]) -> None:
        """Takes nobody new: at these addresses another process does, also who is in the queue there by now."""
        self._bound.own(addresses)
        self._leave()
        for name, acceptors in self._acceptors.items():
            for acceptor in acceptors:
                acceptor.close(taking=name not in addresses, last=not name.startswith("fd:"))

    def abort(self) -> None:
        """Closes now, handshakes included."""
        self._leave()
        for acceptor in self._all():
            acceptor.abort()

    def _leave(self) -> None:
        self._bound.unbind()
        if self._neighbours is not None:
            self._neighbours.leave()

    def _all(self) -> Iterator[Acceptor]:
        return (acceptor for some in self._acceptors.values() for acceptor in some)

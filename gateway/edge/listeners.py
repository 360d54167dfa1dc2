"""All listening sockets of the process, used together and closed together, with the certificates they show."""

from __future__ import annotations

import asyncio
import socket
import ssl

from gateway.edge.accept import BATCH, Acceptor
from gateway.edge.http1 import Edge
from gateway.edge.listen import Bound


class Listeners:
    """Takes connections off `bound`, in each turn at most so many; those of TCP speak TLS when `tls` is given."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, edge: Edge, bound: Bound, tls: ssl.SSLContext | None, batch: int = BATCH
    ) -> None:
        self.ports: list[int] = []
        self._acceptors: list[Acceptor] = []
        self._bound = bound
        self._neighbours = edge.room.neighbours
        if self._neighbours is not None:
            self._neighbours.join(edge.room.open)
        for sock in (sock for some in bound.sockets.values() for sock in some):
            here = sock.family == socket.AF_UNIX  # who can reach a unix socket is on this machine
            if not here:
                self.ports.append(sock.getsockname()[1])
            self._acceptors.append(Acceptor(loop, edge, sock, None if here else tls, batch))

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Shows, and asks for, other certificates from the next handshake on."""
        for acceptor in self._acceptors:
            if acceptor.tls is not None and tls is not None:
                acceptor.tls = tls

    def close(self) -> None:
        """Takes nobody new; who is connected stays."""
        self._leave()
        for acceptor in self._acceptors:
            acceptor.close()

    def abort(self) -> None:
        """Closes now, handshakes included."""
        self._leave()
        for acceptor in self._acceptors:
            acceptor.abort()

    def _leave(self) -> None:
        self._bound.unbind()
        if self._neighbours is not None:
            self._neighbours.leave()

"""All listening sockets of the process, opened together and closed together, with the certificates they show."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from gateway.config.addresses import Listen
from gateway.config.schema import Server
from gateway.edge.accept import Acceptor
from gateway.edge.http1 import Edge
from gateway.edge.listen import bind, unbind

logger = logging.getLogger("gateway")


class Listeners:
    """Listens on all addresses of `[server]`; those of TCP speak TLS when `tls` is given. Raises ListenError, and then
    nothing is left open."""

    def __init__(self, loop: asyncio.AbstractEventLoop, edge: Edge, server: Server, tls: ssl.SSLContext | None) -> None:
        self.ports: list[int] = []
        self._acceptors: list[Acceptor] = []
        self._bound = list(server.listen)
        bound: list[tuple[Listen, socket.socket]] = []
        try:
            bound += ((address, sock) for address in server.listen for sock in bind(address, server.vanished_after))
        except OSError:
            for address, sock in bound:
                sock.close()
                unbind(address)
            raise
        for address, sock in bound:
            if address.path is None:
                self.ports.append(sock.getsockname()[1])
            here = address.path is not None  # who can reach a unix socket is on this machine
            self._acceptors.append(Acceptor(loop, edge, sock, None if here else tls))
            logger.info("listening on %s", address)

    def show(self, tls: ssl.SSLContext | None) -> None:
        """Shows, and asks for, other certificates from the next handshake on."""
        for acceptor in self._acceptors:
            if acceptor.tls is not None and tls is not None:
                acceptor.tls = tls

    def close(self) -> None:
        """Takes nobody new; who is connected stays."""
        self._unbind()
        for acceptor in self._acceptors:
            acceptor.close()

    def abort(self) -> None:
        """Closes now, handshakes included."""
        self._unbind()
        for acceptor in self._acceptors:
            acceptor.abort()

    def _unbind(self) -> None:
        """Removes the files of unix sockets, once, while they are listened on: what is found there later is a
        successor's."""
        while self._bound:
            unbind(self._bound.pop())

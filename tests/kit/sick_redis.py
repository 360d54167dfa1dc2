"""A Redis server that answers some commands with an error, or some other server altogether: a relay before a real one,
on threads of its own, so that a test may wait for the process of a gateway meanwhile.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import hiredis

RAISE = "return redis.error_reply(ARGV[1])"
RETURN = "return ARGV[1]"
Serve = Callable[[socket.socket], None]


class SickRedis:
    """`answers`: a command, in capitals, and what the server answers it with, in its turn: an error, or bytes. While it
    is a `stranger`, that one serves whoever connects."""

    def __init__(self, target: int) -> None:
        self.answers: dict[str, str | bytes] = {}
        self.stranger: Serve | None = None
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                self._open.add(client)
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            (self.stranger or self._relay)(client)
        self._open.discard(client)

    @property
    def connections(self) -> int:
        """That are open now."""
        return len(self._open)

    def recovers(self) -> None:
        self.answers, self.stranger = {}, None

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _relay(self, client: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=_pass, args=(server, client), daemon=True).start()
            reader = hiredis.Reader()
            while data := client.recv(65536):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    server.sendall(self._instead(command))

    def _instead(self, command: list[bytes]) -> bytes:
        answer = self.answers.get(command[0].decode().upper())
        if answer is None:
            return hiredis.pack_command(tuple(command))
        return hiredis.pack_command(("EVAL", RAISE if isinstance(answer, str) else RETURN, 0, answer))


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def sick_redis(target: int) -> Iterator[SickRedis]:
    found = SickRedis(target)
    try:
        yield found
    finally:
        found.close()

"""Which part of its machine a process is: the only one, or one of several workers under a supervisor."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.config.addresses import Listen

if TYPE_CHECKING:
    from gateway.config.schema import Admin
    from gateway.edge.room import Neighbours
    from gateway.machine.link import Link
    from gateway.state.lmdb_map import Map


@dataclass(frozen=True, slots=True)
class Part:
    """`number` counts workers from 0 and stays the same when one is started again. `sockets` are those to listen on, by
    the address as it is written in the file; None: this process opens them itself. `directory` is the machine's own,
    in memory and for its user only: what workers share lies there. `given` are sockets that the process before has
    handed on: what is not among them is opened. `owner` is this start of the process, and no other: what a store lends
    is lent to it. `map`: the file of the state, where several parts are in one process, which may open it but once."""

    number: int = 0
    workers: int = 1
    sockets: Mapping[str, Sequence[socket.socket]] | None = field(default=None)
    directory: Path | None = None
    link: Link | None = None
    neighbours: Neighbours | None = None  # the other workers, at the door
    given: Mapping[str, Sequence[socket.socket]] = field(default_factory=dict)
    map: Map | None = None
    owner: str = field(default_factory=lambda: secrets.token_hex(8))

    def admin(self, admin: Admin) -> Admin:
        """Where this process answers an operator: a worker in the machine's directory, for its supervisor only."""
        if self.directory is None:
            return admin
        listen = Listen("", 0, str(self.directory / f"worker-{self.number}.sock"))
        return admin.model_copy(update={"listen": listen, "token": None})

    @property
    def alone(self) -> bool:
        return self.link is None


ALONE = Part()

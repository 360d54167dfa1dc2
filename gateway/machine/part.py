"""Which part of its machine a process is: the only one, or one of several workers under a supervisor."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.machine.link import Link


@dataclass(frozen=True, slots=True)
class Part:
    """`number` counts workers from 0 and stays the same when one is started again. `sockets` are those to listen on, by
    the address as it is written in the file; None: this process opens them itself. `directory` is the machine's own,
    in memory and for its user only: what workers share lies there."""

    number: int = 0
    workers: int = 1
    sockets: Mapping[str, Sequence[socket.socket]] | None = field(default=None)
    directory: Path | None = None
    link: Link | None = None

    @property
    def alone(self) -> bool:
        return self.link is None


ALONE = Part()

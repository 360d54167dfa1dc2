"""What the admin side of a machine may ask of its supervisor: how each worker is, and what is done to all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol


class Standing(NamedTuple):
    """One worker. `state` is `starting`, `serving`, or `ended` while it waits to be started again; `since` are loop
    seconds; `pid` is None where there is no process."""

    number: int
    pid: int | None
    state: str
    since: float
    restarts: int
    socket: Path  # where it answers the supervisor


class Fleet(Protocol):
    """The workers of a machine, as their supervisor has them."""

    @property
    def draining(self) -> bool: ...

    @property
    def reloaded(self) -> int:
        """How often another configuration has come to count."""

    def standing(self) -> Sequence[Standing]:
        """All workers, by number."""

    def call_log(self) -> Path | None:
        """The file that calls are recorded in."""

    async def reload(self) -> list[str]:
        """All workers, or none. The problems, one line each."""

    def begin_drain(self) -> dict[str, object]:
        """One drain for all of them, once; what there is to say about it."""

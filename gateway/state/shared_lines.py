"""Which calls of this process stand in which line that the processes of the machine share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gateway.call import Call

Key = tuple[str, str]  # a limit, and who is counted under it


class Ticket(NamedTuple):
    row: bytes
    digest: bytes
    key: Key


class Tickets:
    __slots__ = ("_lines", "_of")

    def __init__(self) -> None:
        self._of: dict[Call, Ticket] = {}
        self._lines: dict[bytes, tuple[Key, set[Call]]] = {}

    def of(self, call: Call) -> Ticket | None:
        return self._of.get(call)

    def add(self, call: Call, ticket: Ticket) -> None:
        """A call stands in one line at most: it has left the one where it stood."""
        self.pop(call)
        self._of[call] = ticket
        self._lines.setdefault(ticket.digest, (ticket.key, set()))[1].add(call)

    def pop(self, call: Call) -> Ticket | None:
        ticket = self._of.pop(call, None)
        if ticket is not None:
            calls = self._lines[ticket.digest][1]
            calls.discard(call)
            if not calls:
                del self._lines[ticket.digest]
        return ticket

    def named(self, digest: bytes) -> Key | None:
        """For what calls wait there, if any of this process do."""
        line = self._lines.get(digest)
        return line[0] if line is not None else None

    @property
    def keys(self) -> list[Key]:
        return [key for key, _ in self._lines.values()]

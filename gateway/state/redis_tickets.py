"""Who of this process stands in lines that a Redis server keeps: under which number, and for what. A call stands in one
line at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.state.mirror import Key
    from gateway.state.redis_desk import Pending


@dataclass(slots=True)
class Ticket:
    """`name` is what the server calls the place, `key` what we call it."""

    number: int
    name: str
    key: Key


class Tickets:
    """In the order in which they came. What the server is to know goes to `say`."""

    def __init__(self, say: Callable[[Sequence[Any]], None]) -> None:
        self._say = say
        self._tickets: dict[Call, Ticket] = {}
        self._keys: dict[int, Key] = {}  # by number

    def all(self) -> list[Ticket]:
        return list(self._tickets.values())

    def number(self, call: Call) -> int | None:
        """Under which it waits."""
        ticket = self._tickets.get(call)
        return ticket.number if ticket is not None else None

    def key(self, number: int) -> Key | None:
        return self._keys.get(number)

    def queued(self, pending: Pending, which: int) -> None:
        """It stands in the line for that place now, and in no other."""
        name, place = pending.marks[which][0], pending.places[which]
        ticket = self._tickets.get(pending.call)
        if ticket is not None and ticket.name != name:
            self._say(("leave", ticket.number, ticket.name))
        key = self._keys[pending.number] = (place.limit, place.key)
        self._tickets[pending.call] = Ticket(pending.number, name, key)

    def served(self, pending: Pending) -> None:
        """It waits no more; a ticket for what it took went with that."""
        ticket = self._drop(pending.call)
        if ticket is not None and not any(ticket.name == name for name, _, _ in pending.marks):
            self._say(("leave", ticket.number, ticket.name))

    def too_late(self, pending: Pending, served: bool, which: int) -> None:
        """The server has served it, or put it in line, after it was decided without: it stands where it stood."""
        ticket = self._tickets.get(pending.call)
        if served and ticket is not None:
            self._say(("wait", ticket.number, (), ticket.name))
        elif not served and (ticket is None or ticket.name != pending.marks[which][0]):
            self._say(("leave", pending.number, pending.marks[which][0]))

    def leaves(self, call: Call) -> None:
        ticket = self._drop(call)
        if ticket is not None:
            self._say(("leave", ticket.number, ticket.name))

    def _drop(self, call: Call) -> Ticket | None:
        ticket = self._tickets.pop(call, None)
        if ticket is not None:
            del self._keys[ticket.number]
        return ticket

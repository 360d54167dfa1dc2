"""Which endpoint takes the next call: one class for each `balance`. A picker knows the endpoints that take calls now
and decides among them; who they are is `balance`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.upstream.endpoint import Endpoint

Choose = Callable[[Sequence["Endpoint"], int], "Endpoint"]


class Picker(Protocol):
    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Other endpoints take calls from now on, or with another weight."""

    def pick(self, call: Call | None, tried: Collection[Endpoint]) -> Endpoint | None:
        """An endpoint for a call, none of those already tried; None when there is none."""


class TurnPicker:
    """Decides by the endpoints alone, and by whose turn it is."""

    __slots__ = ("_choice", "_choose", "_turn")

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._choice: tuple[Endpoint, ...] = ()
        self._turn = 0

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        self._choice = choice

    def pick(self, call: Call | None, tried: Collection[Endpoint]) -> Endpoint | None:
        choice = [each for each in self._choice if each not in tried] if tried else self._choice
        if not choice:
            return None
        self._turn += 1
        return choice[0] if len(choice) == 1 else self._choose(choice, self._turn)


def round_robin(endpoints: Sequence[Endpoint], turn: int) -> Endpoint:
    """Each endpoint in turn, as often as its weight says."""
    slot = turn % sum(endpoint.weight for endpoint in endpoints)
    for endpoint in endpoints:
        slot -= endpoint.weight
        if slot < 0:
            return endpoint
    return endpoints[-1]


def least_held(endpoints: Sequence[Endpoint], turn: int) -> Endpoint:
    """The endpoint with the fewest calls for its weight; equals take turns."""
    start = turn % len(endpoints)
    order = (*endpoints[start:], *endpoints[:start])
    return min(order, key=lambda endpoint: endpoint.held / endpoint.weight)


def compile_picker(balance: str) -> Picker:
    """The picker of a `balance` as it is written. Raises ValueError for one there is not."""
    if balance == "round-robin":
        return TurnPicker(round_robin)
    if balance == "least-held":
        return TurnPicker(least_held)
    raise ValueError(f'{balance} is not available in this version; write "least-held" or "round-robin"')

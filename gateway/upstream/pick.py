"""Which endpoint takes the next call: a picker for each `balance`. A picker knows the endpoints that take calls now and
decides among them; who they are is `balance`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from gateway.upstream.affinity import compile_value
from gateway.upstream.rendezvous import ByValue
from gateway.upstream.spread import LeastHeld, RandomTwo, RoundRobin
from gateway.upstream.sticky import Sessions, Sticky

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.balances import Balance
    from gateway.upstream.endpoint import Endpoint


class Picker(Protocol):
    @property
    def eased(self) -> set[Endpoint] | None:
        """Where to note an endpoint that gave a call back; None if nobody needs to know."""

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        """Other endpoints take calls from now on, or with another share."""

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        """An endpoint for a call, none of those already tried; None when there is none."""


_PLAIN: dict[str, Callable[[], Picker]] = {
    "least-held": LeastHeld, "round-robin": RoundRobin, "random-two": RandomTwo,
}  # fmt: skip


def compile_picker(balance: Balance, sessions: Sessions | None = None) -> Picker:
    """The picker of a `balance`; "sticky" needs to know how sessions are told."""
    if sessions is not None:
        return Sticky(sessions)
    if balance.kind == "hash":
        return ByValue(compile_value(balance))
    return _PLAIN[balance.kind]()

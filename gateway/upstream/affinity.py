"""What of a call decides about its endpoint, where `balance` names something: a consumer, or a value of the request.
A head is gone once its request was sent, so what was read of it stays with the call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from gateway.holds.places import compile_place
from gateway.memory import short

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.balances import Balance

Affinity: TypeAlias = str | bytes  # a long value is kept as its digest
Value = Callable[["Call"], "Affinity | None"]


def compile_value(balance: Balance) -> Value:
    """The reader of what a `hash:` or `sticky:` names; None for a call that has no such value. A stranger is his
    address, and who has no tenant is his own: as limits count them. Raises ValueError."""
    if balance.where == "consumer":
        return lambda call: short(call.poller)
    if balance.where == "tenant":
        return lambda call: short(call.identity.account if call.identity is not None else call.peer)
    read = compile_place(f"{balance.where}:{balance.name}")

    def value(call: Call) -> Affinity | None:
        if call.head is not None:
            text = read(call.head)
            call.affinity = short(text) if text else None
        return call.affinity

    return value

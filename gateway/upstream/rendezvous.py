"""Endpoints by a value of the call: the same value goes to the same endpoint, through every gateway and after every
restart, and an endpoint that comes or goes moves its own share of the values and no other (highest random weight).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from hashlib import blake2b
from math import log
from typing import TYPE_CHECKING, Final
from zlib import crc32

from gateway.upstream.spread import LeastHeld

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.upstream.affinity import Affinity, Value
    from gateway.upstream.endpoint import Endpoint

SLOTS: Final = 1 << 16  # values are told apart into so many; each is decided once and then looked up
_PRIME: Final = (1 << 61) - 1
Chance = tuple[int, int, float, "Endpoint"]  # two numbers of its own, its weight, the endpoint


class Ranking:
    """Which of some endpoints a value belongs to."""

    __slots__ = ("_chances", "_decided")

    def __init__(self, endpoints: Iterable[Endpoint] = ()) -> None:
        self._chances = _chances(endpoints)
        self._decided: list[Endpoint | None] = []

    def renew(self, endpoints: Iterable[Endpoint]) -> None:
        """Where they are the same as before, as when only shares grow, what was decided stays."""
        chances = _chances(endpoints)
        if chances != self._chances:
            self._chances, self._decided = chances, []

    def find(self, value: Affinity, without: Collection[Endpoint] = ()) -> Endpoint | None:
        slot = crc32(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")) % SLOTS
        if without:
            return _best(slot, [chance for chance in self._chances if chance[3] not in without])
        if not self._decided:
            self._decided = [None] * SLOTS
        found = self._decided[slot]
        if found is None:
            found = self._decided[slot] = _best(slot, self._chances)
        return found


def _chances(endpoints: Iterable[Endpoint]) -> list[Chance]:
    """The numbers come from what an endpoint is, not from where in a list it stands; an address that is written twice
    is two endpoints."""
    seen, chances = Counter[tuple[object, ...]](), list[Chance]()
    for endpoint in endpoints:
        seen[endpoint.address] += 1
        text = repr((endpoint.address, seen[endpoint.address]))
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        factor, start = int.from_bytes(digest[:8]) % (_PRIME - 1) + 1, int.from_bytes(digest[8:]) % _PRIME
        chances.append((factor, start, float(endpoint.weight), endpoint))
    return chances


def _best(slot: int, chances: list[Chance]) -> Endpoint | None:
    """Each endpoint draws a number for the slot, and the highest wins. The logarithm makes it win as often as its
    weight says, and whoever gains weight takes slots from the others without moving any between them."""
    best, winner = float("inf"), None
    mixed = slot * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF  # neighbours far apart
    for factor, start, weight, endpoint in chances:
        drawn = ((mixed * factor + start) % _PRIME + 1) / (_PRIME + 1)
        score = -log(drawn) / weight
        if score < best:
            best, winner = score, endpoint
    return winner


class ByValue:
    """`hash:..`: by a value of the call. Calls that have none go where least is carried."""

    __slots__ = ("_others", "_ranking", "_value", "eased")

    def __init__(self, value: Value) -> None:
        self._value = value
        self._ranking = Ranking()
        self._others = LeastHeld()
        self.eased: set[Endpoint] | None = self._others.eased

    def renew(self, choice: tuple[Endpoint, ...]) -> None:
        self._ranking.renew(choice)
        self._others.renew(choice)

    def pick(self, call: Call | None, tried: Collection[Endpoint], now: float) -> Endpoint | None:
        value = self._value(call) if call is not None else None
        if value is None:
            return self._others.pick(call, tried, now)
        return self._ranking.find(value, tried)

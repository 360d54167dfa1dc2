"""How many client connections there are, in all and per address, and how many there may be. A count and no socket: who
is turned away, and how, is done in `accept`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

from gateway.networks import Networks, within
from gateway.policies.keys import counted

AWAY: Final = 32  # connections that are being turned away at once; the headroom of descriptors has place for them
SPARE: Final = 20  # one of so many connections is kept for calls that are not held


class Shed(StrEnum):
    """Why somebody was turned away."""

    CONNECTIONS = "connections"  # max_connections is reached
    ADDRESS = "address"  # per_address is reached
    DESCRIPTORS = "descriptors"  # the system has no descriptor left
    HOLD = "hold"  # nearly full: no new poll is held
    NO_PROXY = "no_proxy"  # only proxies may connect (proxy_protocol), and this is none
    PROXY_HEADER = "proxy_header"  # a proxy did not say whose connection it is
    CERTIFICATE = "certificate"  # a client showed none, or none that somebody vouches for


class Neighbours(Protocol):
    """Other processes that take connections off the same sockets."""

    @property
    def ahead(self) -> bool:
        """Whether one of them has so few that the next connection is for it."""

    def join(self, connections: int) -> None:
        """We take connections from now on, and have so many."""

    def show(self, connections: int) -> None:
        """We have so many by now."""

    def leave(self) -> None:
        """We take none any more."""

    def count(self, address: str, change: int) -> None:
        """So many more of ours come from there."""

    def elsewhere(self, address: str) -> int:
        """How many of theirs do."""


class Room:
    """`limit` connections in this process, `per_address` from one address (None: any number) but for those `exempt`:
    with `neighbours` in all processes together."""

    __slots__ = ("_by_address", "_exempt", "_wanting", "away", "last", "limit", "most", "neighbours", "open",
                 "per_address", "shed")  # fmt: skip

    def __init__(self, limit: int = sys.maxsize, neighbours: Neighbours | None = None) -> None:
        self.neighbours = neighbours
        self.limit = limit
        self.per_address: int | None = None
        self.open = 0
        self.most = 0  # that were open at one time; who has taken that into account begins anew
        self.away = 0
        self.shed = dict.fromkeys(Shed, 0)
        self.last = dict.fromkeys(Shed, "")  # who was turned away last, where that is told
        self._exempt: Networks = ()
        self._by_address: dict[str, int] = {}
        self._wanting: list[Callable[[], None]] = []

    def words(self, shed: Shed, times: int) -> str:
        """What an operator is told of those who were turned away."""
        why = {
            Shed.CONNECTIONS: f"all {self.limit} connections are taken (server.max_connections; see ulimit -n)",
            Shed.ADDRESS: f"an address has {self.per_address} connections (server.per_address); if it is a proxy, name "
            "it in server.trusted_proxies",
            Shed.DESCRIPTORS: "the system has no file descriptor left",
            Shed.HOLD: f"the last of {self.limit} connections are not for polls (server.max_connections)",
            Shed.NO_PROXY: "server.proxy_protocol takes connections of server.trusted_proxies only; the last came from "
            f"{self.last[Shed.NO_PROXY]}",
            Shed.CERTIFICATE: "server.tls.client_ca wants a certificate that it vouches for; the last came from "
            f"{self.last[Shed.CERTIFICATE]}",
            Shed.PROXY_HEADER: "server.proxy_protocol wants a PROXY header (v1 or v2) first; the last came from "
            f"{self.last[Shed.PROXY_HEADER]}",
        }
        return f"turned away {times}: {why[shed]}"

    def allow(self, limit: int, per_address: int | None, exempt: Networks) -> None:
        """Other numbers, from now on; nobody who is inside is sent away for them."""
        self.limit, self.per_address, self._exempt = limit, per_address, exempt
        self._call()

    @property
    def tight(self) -> bool:
        """So few places are left that they are for calls that end soon: whoever is parked stays, nobody new is."""
        return self.open > self.limit - max(self.limit // SPARE, 1)

    @property
    def shut(self) -> bool:
        """Nobody can be let in, nor told why: who comes now waits in the kernel's queue."""
        return self.open >= self.limit and self.away >= AWAY

    @property
    def ahead(self) -> bool:
        """Whether whoever comes next is for another process."""
        return self.neighbours is not None and self.neighbours.ahead

    def enter(self, peer: str) -> Shed | None:
        """Counts a connection in; or says why it must not be. `peer` is empty where there is no address."""
        if self.open >= self.limit:
            return Shed.CONNECTIONS
        shed = self._count(peer)
        if shed is None:
            self._opened(1)
        return shed

    def rename(self, proxy: str, client: str) -> Shed | None:
        """Counts a connection that came from a proxy as its client's; or says why that must not be."""
        shed = self._count(client)
        if shed is None:
            self._uncount(proxy)
        return shed

    def leave(self, peer: str) -> None:
        """Counts a connection out that `enter` let in."""
        self._opened(-1)
        self._uncount(peer)
        if self._wanting:
            self._call()

    def _count(self, peer: str) -> Shed | None:
        if not peer:
            return None
        address = counted(peer)
        there = self._by_address.get(address, 0)
        full = self.per_address is not None and self._all(address, there) >= self.per_address
        if full and not within(peer, self._exempt):
            return Shed.ADDRESS
        self._by_address[address] = there + 1
        if self.neighbours is not None:
            self.neighbours.count(address, 1)
        return None

    def _all(self, address: str, here: int) -> int:
        return here if self.neighbours is None else here + self.neighbours.elsewhere(address)

    def _opened(self, change: int) -> None:
        self.open += change
        if self.open > self.most:
            self.most = self.open
        if self.neighbours is not None:
            self.neighbours.show(self.open)

    def _uncount(self, peer: str) -> None:
        if peer:
            address = counted(peer)
            there = self._by_address.pop(address, 1) - 1
            if there:
                self._by_address[address] = there
            if self.neighbours is not None:
                self.neighbours.count(address, -1)

    def turn_away(self, ended: bool) -> None:
        """Counts those who are being told that there is no room."""
        self.away += -1 if ended else 1
        if ended and self._wanting:
            self._call()

    def when_open(self, call: Callable[[], None]) -> None:
        """Calls once when somebody has left."""
        self._wanting.append(call)

    def _call(self) -> None:
        wanting, self._wanting = self._wanting, []
        for call in wanting:
            call()

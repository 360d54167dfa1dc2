"""The kind `allow_list`: calls may come from these networks and from nowhere else. Looks at the peer address
alone, so it stands before everything that costs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Final

from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Step, Verdict

if TYPE_CHECKING:
    from gateway.call import Call

UNIX: Final = "unix"  # the entry that lets in calls over a unix socket, whose peer is ""

REFUSED: Final = Refusal(Outcome.FORBIDDEN, 403, "address_not_allowed", "this address may not call here")

_MAPPED: Final = b"\x00" * 10 + b"\xff\xff"  # ::ffff:0:0/96, an IPv4 peer on an IPv6 socket (RFC 4291 2.5.5.2)

Table = tuple[tuple[int, frozenset[int]], ...]
"""For each prefix length: how far to shift an address, and the networks left after that."""


def compile_allow_list(addresses: Sequence[str]) -> Step:
    """The step that refuses every peer outside `addresses` (addresses, networks in CIDR form, or "unix").

    Raises ValueError for an entry that is none of these.
    """
    unix = UNIX in addresses
    networks = [_network(text) for text in addresses if text != UNIX]
    tables = {family: _table(networks, kind) for family, kind in ((AF_INET, IPv4Network), (AF_INET6, IPv6Network))}
    return AllowList(unix, tables[AF_INET], tables[AF_INET6]).screen


class AllowList:
    """The step of one route."""

    __slots__ = ("four", "six", "unix")

    def __init__(self, unix: bool, four: Table, six: Table) -> None:
        self.unix = unix
        self.four = four
        self.six = six

    def screen(self, call: Call) -> Verdict:
        return None if _allowed(self, call.peer) else REFUSED


@lru_cache(maxsize=4096)  # of all routes together: an address asks again and again, and a list never changes
def _allowed(listed: AllowList, peer: str) -> bool:
    if not peer:
        return listed.unix
    packed = _pack(peer)
    if packed is None:
        return False
    number = int.from_bytes(packed)
    table = listed.four if len(packed) == 4 else listed.six
    return any(number >> shift in networks for shift, networks in table)


def _pack(peer: str) -> bytes | None:
    """The address as 4 or 16 bytes, None if the text is no address."""
    try:
        if ":" not in peer:
            return inet_pton(AF_INET, peer)
        packed = inet_pton(AF_INET6, peer.partition("%")[0])  # without the zone of a link-local address
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_MAPPED) else packed


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(f"allow_list: {text!r} {_remedy(text)}") from None
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = IPv6Address(network.network_address).ipv4_mapped
        if mapped is not None:
            return IPv4Network((int(mapped), network.prefixlen - 96))
    return network


def _remedy(text: str) -> str:
    try:
        return f"has bits set after its prefix; write {ip_network(text, strict=False)}"
    except ValueError:
        return 'is no address; write one such as 192.0.2.7, a network such as 10.0.0.0/8, or "unix"'


def _table(networks: Sequence[IPv4Network | IPv6Network], kind: type[IPv4Network | IPv6Network]) -> Table:
    found: dict[int, set[int]] = {}
    for network in networks:
        if isinstance(network, kind):
            shift = network.max_prefixlen - network.prefixlen
            found.setdefault(shift, set()).add(int(network.network_address) >> shift)
    return tuple((shift, frozenset(numbers)) for shift, numbers in sorted(found.items()))

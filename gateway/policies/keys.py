"""Who counts as one: the `per` of limits and caps, as functions of a call. Where a call has no such key the next best
stands in (a tenant's consumer, a stranger's address), so that nobody is unlimited for lack of a name; marked as such,
so that nobody can be named like another's stand-in and spend what is his.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from gateway.identity.claims import STAND_IN, texts_of

if TYPE_CHECKING:
    from gateway.call import Call

KeyOf = Callable[["Call"], str]
Payer = Callable[["Call"], "str | None"]
Applies = Callable[["Call"], bool]

BEFORE_IDENTITY = ("address", "route")
_MAX_KEY: Final = 256  # characters of a claim that count


def compile_key(per: str) -> KeyOf:
    """The reader of `per`: consumer, tenant, route, address, claim:NAME or header:NAME, of which the last can be read
    only until the call is forwarded. Raises ValueError for another word."""
    if per == "address":
        return _address
    if per == "route":
        return lambda call: call.plan.route if call.plan is not None else ""
    if per == "consumer":
        return _consumer
    if per == "tenant":
        return _tenant
    kind, _, name = per.partition(":")
    if kind == "claim" and name:
        return lambda call: _claim(call, name)
    if kind == "header" and name:
        return lambda call: _header(call, name)
    raise ValueError(
        f'"{per}" names nobody to count; write "consumer", "tenant", "route", "address", "claim:NAME" or "header:NAME"'
    )


def compile_when(claims: Mapping[str, Sequence[object]]) -> Applies | None:
    """Whether a limit with `when_claims` is meant for a call: one of the values of each claim. None: for every call."""
    if not claims:
        return None
    wanted = tuple((name, frozenset(texts_of(list(values)))) for name, values in claims.items())

    def applies(call: Call) -> bool:
        identity = call.identity
        return identity is not None and all(
            not allowed.isdisjoint(texts_of(identity.claims.get(name))) for name, allowed in wanted
        )

    return applies


def compile_payer(key: KeyOf, applies: Applies | None) -> Payer:
    """Who pays for a call under a limit: its key, or nobody where the limit is not meant for it."""
    return key if applies is None else lambda call: key(call) if applies(call) else None


def _address(call: Call) -> str:
    peer = call.peer
    return _network(peer) if ":" in peer else peer  # `counted`, without the call


def counted(peer: str) -> str:
    """Who is counted for an address: the owner of an IPv6 address has a whole /64 (RFC 6177)."""
    return _network(peer) if ":" in peer else peer


@lru_cache(maxsize=4096)
def _network(peer: str) -> str:
    address = ipaddress.IPv6Address(peer)
    return str(address.ipv4_mapped or ipaddress.IPv6Network((address, 64), strict=False))


def _consumer(call: Call) -> str:
    identity = call.identity
    return identity.consumer if identity is not None else STAND_IN + _address(call)


def _tenant(call: Call) -> str:
    identity = call.identity
    return identity.account if identity is not None else STAND_IN + _address(call)


def _claim(call: Call, name: str) -> str:
    if call.identity is None:
        return STAND_IN + _address(call)
    text = " ".join(texts_of(call.identity.claims.get(name))).lstrip(STAND_IN)
    return text[:_MAX_KEY] or STAND_IN + call.identity.consumer


def _header(call: Call, name: str) -> str:
    """A digest: what callers write there may be long, and may be a secret."""
    values = call.head.headers.getall(name, ()) if call.head is not None else ()
    if not values:
        return STAND_IN + (call.identity.consumer if call.identity is not None else _address(call))
    return blake2b(", ".join(values).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

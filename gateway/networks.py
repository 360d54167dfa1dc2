"""Networks as an operator writes them, of trusted proxies and of addresses that many clients share."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


def within(address: str, networks: Networks) -> bool:
    """Whether an address belongs to one of the networks; what is no address does not."""
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


@lru_cache(maxsize=4096)
def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address)
    except ValueError:
        return None

"""Who a client is behind proxies: its address and the scheme it used, as far as proxies say so that are trusted. Pure;
nothing a stranger wrote is believed. X-Forwarded-Host never is: most proxies pass a client's own one on as it came.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from gateway.head import RequestHead
from gateway.networks import Networks, within

MOST: Final = 32  # hops; nobody honest has so many
_FIELDS = ("X-Forwarded-For", "Forwarded", "X-Forwarded-Proto")
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# A token, and what careless proxies leave unquoted.
_VALUE: Final = r'[!#$%&\'*+\-.^_`|~0-9A-Za-z:\[\]]*|"(?:[^"\\]|\\.)*"'
_PAIR: Final = re.compile(rf"\s*([A-Za-z]+)=({_VALUE})\s*(?:;|$)")


def client_of(peer: str, head: RequestHead, trusted: Networks) -> tuple[str, str]:
    """Address and scheme: those of the connection, or behind trusted proxies the right-most address that is none of
    them, for each proxy appends whom it serves. What cannot be read as an address ends the search. The scheme is what
    stands as far from the right, or was written once and passed on."""
    headers = head.headers
    if not any(name in headers for name in _FIELDS) or not within(peer, trusted):
        return peer, head.scheme
    hops, own = _list(head, "X-Forwarded-For"), False
    if not hops:
        hops, own = _elements(head), True
    address, hop, passed = peer, "", 0
    while passed < len(hops) and within(address, trusted):
        known = _address(_pairs(hops[~passed]).get("for", "") if own else hops[~passed])
        if known is None:
            break
        address, hop = known, hops[~passed]
        passed += 1
    said = _pairs(hop).get("proto") if own else None
    scheme = said or _at(_list(head, "X-Forwarded-Proto"), passed)
    return address, _SCHEMES.get(scheme.lower(), head.scheme)


def _list(head: RequestHead, name: str) -> list[str]:
    """The last values of a field, in all its lines together (RFC 9110 5.3)."""
    lines = head.headers.getall(name, ())
    return [value.strip() for value in ",".join(lines).split(",")[-MOST:]] if lines else []


def _at(values: list[str], passed: int) -> str:
    """What the proxy wrote that is so many hops away; of fewer values the first."""
    return values[-min(max(passed, 1), len(values))] if values else ""


def _elements(head: RequestHead) -> list[str]:
    """The last elements of `Forwarded`. A comma inside quotes is none: they are put together from the right, so that a
    stranger's open quote cannot reach what proxies appended to it."""
    found: list[str] = []
    open_quote = False
    for piece in reversed(_list(head, "Forwarded")):
        if open_quote:
            found[-1] = f"{piece},{found[-1]}"
        else:
            found.append(piece)
        open_quote = found[-1].count('"') % 2 == 1
    return found[::-1]


def _pairs(element: str) -> dict[str, str]:
    """The pairs of one element of `Forwarded` (RFC 7239 4), none where it is malformed."""
    found: dict[str, str] = {}
    at = 0
    while at < len(element):
        match = _PAIR.match(element, at)
        if match is None or match[1].lower() in found:
            return {}
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", match[2].strip('"')) if match[2][:1] == '"' else match[2]
        at = match.end()
    return found


def _address(text: str) -> str | None:
    """An address with or without a port, brackets, quotes; None for anything else."""
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
        return None if "%" in text else str(getattr(found, "ipv4_mapped", None) or found)  # a zone means nothing here
    except ValueError:
        return None

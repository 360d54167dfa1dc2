"""Heads as they leave the gateway: the request for the upstream and the answer for the client. Pure functions on parsed
heads. Order matters: what a message names in its own Connection field is removed first and ours is added after it, so
that no client can strip what the gateway says (RFC 9110 7.6.1).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from gateway.head import RawHeaders, RequestHead, ResponseHead
from gateway.identity.places import without_cookie

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.plan import Plan, RequestShape
    from gateway.upstream.balance import Endpoint

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
     b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"}
)  # fmt: skip
# What a client may not say to the upstream: the gateway says it, or it ends here.
OURS = frozenset(
    {b"host", b"expect", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto",
     b"x-forwarded-port", b"x-real-ip", b"x-request-id", b"traceparent", b"tracestate", b"baggage", b"gateway-hold"}
)  # fmt: skip
_KEPT = frozenset({b"content-length", b"content-type", b"host"})  # naming these in Connection changes nothing
_TOKENS = re.compile(rb"[^\s,]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """The header names (lower case) that a message's Connection fields declare to be for this hop only."""
    found: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            found.update(_TOKENS.findall(value.lower()))
    return frozenset(found - _KEPT)


def request_head(call: Call, plan: Plan, head: RequestHead, endpoint: Endpoint, query: str,
                 wish: tuple[bytes, bytes] | None, hold: float | None) -> bytes:  # fmt: skip
    """The request as the endpoint sees it. `wish` replaces the header in which a hold was asked for, `hold` is what is
    left of it in seconds."""
    shape = plan.request
    target = endpoint.prefix + _target(call, shape, head.path)
    lines = [
        f"{head.method} {target}{'?' + query if query else ''} HTTP/1.1\r\nHost: {endpoint.name}\r\n".encode("latin-1")
    ]
    listed = named_by_connection(head.raw_headers)
    drop = shape.drop | listed if listed else shape.drop
    wished = wish[0].lower() if wish is not None else b""
    for name, value in head.raw_headers:
        low = name.lower()
        if b"_" in low:
            low = low.replace(b"_", b"-")  # servers that fold names must not be fooled by X_Forwarded_For
        if low in drop or low == wished:
            continue
        if shape.drop_cookies and low == b"cookie":
            kept = _without_cookies(value, shape.drop_cookies)
            lines.append(b"%b: %b\r\n" % (name, kept) if kept else b"")
        else:
            lines.append(b"%b: %b\r\n" % (name, value))
    if wish is not None:
        lines.append(b"%b: %b\r\n" % wish)
    if head.chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    if shape.identity:
        lines.append(_identity_lines(call, shape.identity))
    lines.append(shape.add)
    lines.append(_own_lines(call, head, hold))
    return b"".join(lines)


def _without_cookies(value: bytes, names: tuple[bytes, ...]) -> bytes | None:
    kept: bytes | None = value
    for name in names:
        kept = without_cookie(kept, name.decode("ascii")) if kept else None
    return kept


def _target(call: Call, shape: RequestShape, path: str) -> str:
    if shape.rewrite is not None:
        path = shape.rewrite
        for name, value in (call.params or {}).items():
            path = path.replace(
                "/" + name if name == "**" else "{" + name + "}", "/" + value if name == "**" else value
            )
    return path


def _own_lines(call: Call, head: RequestHead, hold: float | None) -> bytes:
    """What the gateway itself tells the upstream: who asked (RFC 7239), which call this is, how long it may hold."""
    peer = call.peer or "unknown"
    node = f'"[{peer}]"' if ":" in peer else peer
    host = f';host="{head.host}"' if head.host else ""
    lines = (
        f"X-Request-Id: {call.id}\r\ntraceparent: 00-{call.id}-{call.id[:16]}-00\r\n"
        f"Forwarded: for={node};proto={head.scheme}{host}\r\n"
        f"X-Forwarded-For: {peer}\r\nX-Forwarded-Proto: {head.scheme}\r\n"
    )
    if head.host:
        lines += f"X-Forwarded-Host: {head.host}\r\n"
    if hold is not None:
        lines += f"Gateway-Hold: {hold:.3f}\r\n"
    return (lines + "\r\n").encode("latin-1")


def _identity_lines(call: Call, names: tuple[tuple[bytes, str], ...]) -> bytes:
    """The verified caller in headers. A value that is no visible ASCII is percent-encoded, never sent raw."""
    identity = call.identity
    if identity is None:
        return b""
    out = b""
    for name, what in names:
        value = identity.consumer if what == "consumer" else identity.tenant if what == "tenant" else None
        if value is None and what.startswith("claims."):
            value = _claim_text(identity.claims.get(what[7:]))
        if value:
            out += b"%b: %b\r\n" % (name, header_value(value))
    return out


def _claim_text(value: object) -> str | None:
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    return None if value is None else str(value)


def header_value(text: str) -> bytes:
    """Text as a field value: visible ASCII as it is, everything else percent-encoded as UTF-8."""
    if text.isascii() and not _CONTROL.search(text):
        return text.strip().encode("ascii")
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~").strip().encode("ascii")


def response_head(head: ResponseHead, drop: frozenset[bytes], extra: bytes) -> bytes:
    """An upstream's head for the client: end-to-end fields in their order, then `extra` (ready lines, ours)."""
    listed = named_by_connection(head.raw_headers)
    if listed:
        drop |= listed
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason.encode("utf-8", "surrogateescape"))]
    lines += [b"%b: %b\r\n" % field for field in head.raw_headers if field[0].lower() not in drop]
    lines.append(extra)
    lines.append(b"\r\n")
    return b"".join(lines)


Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


def client_address(peer: str, head: RequestHead, trusted: Networks) -> str:
    """Who the client is: the peer, or behind trusted proxies the right-most address in X-Forwarded-For that is none of
    them. What cannot be read as an address ends the search: nothing a stranger wrote is believed."""
    address = peer
    hops = [hop.strip() for line in head.headers.getall("X-Forwarded-For", ()) for hop in line.split(",")]
    while hops and _is_trusted(address, trusted):
        known = _parse_address(hops.pop())
        if known is None:
            break
        address = known
    return address


def _parse_address(text: str) -> str | None:
    text = text.strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _is_trusted(address: str, trusted: Networks) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)

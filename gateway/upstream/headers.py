"""Heads as they leave the gateway: the request for the upstream and the answer for the client. Pure functions on parsed
heads. Order matters: what a message names in its own Connection field is removed first and ours is added after it, so
that no client can strip what the gateway says (RFC 9110 7.6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from gateway.head import END, Fields, Forwarded, RawHeaders, RequestHead, ResponseHead
from gateway.holds.rewrite import captures
from gateway.identity.places import without_cookie
from gateway.telemetry import trace

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.holds.rewrite import Rewrite
    from gateway.plan import Plan
    from gateway.shapes import RequestShape
    from gateway.upstream.endpoint import Endpoint

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
     b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings"}
)  # fmt: skip
# What a client may not say to the upstream: the gateway says it, or it ends here.
OURS: Final = frozenset(
    {b"host", b"expect", b"forwarded", b"x-real-ip", b"x-request-id", b"traceparent", b"tracestate", b"baggage",
     b"gateway-hold"}
)  # fmt: skip
# Nor anything that begins so: -For, but also -Prefix and -Ssl, which frameworks believe.
FORWARDED: Final = b"x-forwarded-"
_KEPT: Final = frozenset({b"content-length", b"content-type", b"host"})  # naming these in Connection changes nothing
Drops = Callable[[bytes], bool]  # whether a field of that name, as it was spelled, ends here
_PLACE: Final = re.compile(r"\{([^}]*)\}|(?<=/)\*\*$")
_TOKENS: Final = re.compile(rb"[^\s,]+")
_VISIBLE: Final = re.compile(r"[ -$&-~]*")  # ASCII without controls, and without the sign of what is encoded


@lru_cache(maxsize=256)  # equal routes share one, and what it has decided: 5,000 of them would be strangers to a cache
def compile_drops(names: frozenset[bytes], beginning: tuple[bytes, ...] = ()) -> Drops:
    """The test whether a header field ends here, by its name or how that begins. Few spellings come in practice, so
    each is decided once; names are compared with `_` as `-`, for servers that fold them must not be fooled by
    X_Forwarded_For or Content_Length."""

    folded = frozenset(name.replace(b"_", b"-") for name in names)

    @lru_cache(maxsize=1024)
    def drops(name: bytes) -> bool:
        lower = name.lower()
        plain = lower.replace(b"_", b"-")
        written_oddly = plain == b"content-length" and plain != lower
        return plain in folded or written_oddly or plain.startswith(beginning)

    return drops


def named_by_connection(headers: RawHeaders) -> frozenset[bytes]:
    """The header names (lower case) that a message's Connection fields declare to be for this hop only."""
    found: set[bytes] = set()
    for name, value in headers:
        if len(name) == 10 and name.lower() == b"connection":
            found.update(_TOKENS.findall(value.lower()))
    return frozenset(found - _KEPT)


def request_bytes(call: Call, plan: Plan, head: RequestHead, endpoint: Endpoint, wish: Rewrite,
                  hold: float | None) -> bytes:  # fmt: skip
    """The request as the endpoint sees it: its head, and its body where that was read whole. `wish` is what is written
    in place of the hold that was asked for, `hold` what is left of it in seconds."""
    shape = plan.request
    path = wish.path or head.path
    if shape.rewrite is not None:
        path = _rewritten(call.params if wish.path is None else captures(plan.path, path), shape.rewrite)
    target = endpoint.prefix + path
    if wish.query:
        target += "?" + wish.query
    body = wish.body if wish.body is not None or head.content is None else head.content.raw
    host = head.host if shape.keep_host and head.host else endpoint.authority
    lines = [f"{head.method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode("latin-1")]
    if wish.header is not None or body is not None or call.upgrade is not None:
        lines += _changed(call, head, shape, wish, body)
        lines.append(_added(call, shape))
    elif head.repeats is not None:
        lines.append(_repeated(call, head, head.repeats, shape))
    else:
        lines.append(_lines(_end_to_end(head, shape)))
        if head.chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        lines.append(_added(call, shape))
    lines.append(_own_lines(call, plan, head, hold))
    if body:
        lines.append(body)
    return b"".join(lines)


def _changed(call: Call, head: RequestHead, shape: RequestShape, wish: Rewrite, body: bytes | None) -> list[bytes]:
    """The client's fields of a request in which something is replaced, and what stands in its place."""
    fields = _end_to_end(head, shape)
    more: list[bytes] = []
    if wish.header is not None:
        fields = _without(fields, wish.header[0].lower())
        more.append(b"%b: %b\r\n" % wish.header)
    if body is not None:
        fields = _without(fields, b"content-length")
        more.append(b"Content-Length: %d\r\n" % len(body))
    elif head.chunked:
        more.append(b"Transfer-Encoding: chunked\r\n")
    if call.upgrade is not None:
        fields = _without(fields, b"sec-websocket-protocol")
        more.append(call.upgrade.lines)
    return [_lines(fields), *more]


def _repeated(call: Call, head: RequestHead, fields: Fields, shape: RequestShape) -> bytes:
    """The client's fields as they go on, and what is added to them: the same for every request of a connection that
    repeats its fields, as long as they are sent in the same shape and stand for the same caller."""
    made = fields.forwarded
    if made is None or made.shape is not shape or made.identity is not call.identity:
        lines = _lines(_end_to_end(head, shape)) + _added(call, shape)
        made = fields.forwarded = Forwarded(shape, call.identity, lines)
    return made.lines


def _added(call: Call, shape: RequestShape) -> bytes:
    """What every request of this caller gets on this route."""
    return _identity_lines(call, shape.identity) + shape.add if shape.identity else shape.add


def _end_to_end(head: RequestHead, shape: RequestShape) -> RawHeaders:
    drops, fields = shape.drops, head.raw_headers
    if "Connection" in head.headers and (listed := named_by_connection(fields)):
        fields = tuple(field for field in fields if field[0].lower() not in listed)
    if shape.drop_cookies and "Cookie" in head.headers:
        fields = _without_cookies(fields, shape.drop_cookies)
    return tuple([field for field in fields if not drops(field[0])])


def _lines(fields: RawHeaders) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _without(fields: RawHeaders, name: bytes) -> RawHeaders:
    return tuple(field for field in fields if field[0].lower() != name)


def _without_cookies(fields: RawHeaders, names: tuple[bytes, ...]) -> RawHeaders:
    """The fields with those cookies taken out, and without a Cookie field that has none left."""
    kept: list[tuple[bytes, bytes]] = []
    for name, value in fields:
        left: bytes | None = value
        if name.lower() == b"cookie":
            for cookie in names:
                left = without_cookie(left, cookie.decode("ascii")) if left else None
        if left is not None:
            kept.append((name, left))
    return tuple(kept)


def _rewritten(params: Mapping[str, str] | None, template: str) -> str:
    known = params or {}
    return _PLACE.sub(lambda match: known.get(match.group(1) or "**", match.group(0)), template)


def _own_lines(call: Call, plan: Plan, head: RequestHead, hold: float | None) -> bytes:
    """What the gateway itself tells the upstream: which call this is, who asked, how long it may hold."""
    wait = f"Gateway-Hold: {hold:.3f}\r\n" if hold is not None else ""
    lines = f"X-Request-Id: {call.id}\r\n{trace.outgoing(call, plan.sample.sent)}{wait}"
    return lines.encode("ascii") + _forwarded(call.peer or "unknown", head.scheme, head.host)


@lru_cache(maxsize=4096)
def _forwarded(peer: str, scheme: str, host: str) -> bytes:
    """Who asked (RFC 7239), and the empty line that ends a head; the same for every request of a connection."""
    node = f'"[{peer}]"' if ":" in peer else peer
    lines = f"Forwarded: for={node};proto={scheme}" + (f';host="{host}"' if host else "")
    lines += f"\r\nX-Forwarded-For: {peer}\r\nX-Forwarded-Proto: {scheme}\r\n"
    return (lines + (f"X-Forwarded-Host: {host}\r\n\r\n" if host else "\r\n")).encode("latin-1")


def _identity_lines(call: Call, names: tuple[tuple[bytes, str], ...]) -> bytes:
    """The verified caller in headers. A value that is no visible ASCII is percent-encoded, never sent raw."""
    out = b""
    for name, what in names:
        value = _told(call, what)
        if value:
            out += b"%b: %b\r\n" % (name, header_value(value))
    return out


def _told(call: Call, what: str) -> str | None:
    identity = call.identity
    if what == "certificate":
        return call.conn.certificate
    if identity is None:
        return None
    if what == "consumer":
        return identity.consumer
    return identity.tenant if what == "tenant" else _claim_text(identity.claims.get(what[7:]))


def _claim_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(str(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def header_value(text: str) -> bytes:
    """Text as a field value: visible ASCII as it is, everything else percent-encoded as UTF-8."""
    if _VISIBLE.fullmatch(text):
        return text.strip().encode("ascii")
    return quote(text, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~").strip().encode("ascii")


def response_head(head: ResponseHead, drops: Drops, extra: bytes) -> bytes:
    """An upstream's head for the client: end-to-end fields in their order, then `extra` (ready lines, ours)."""
    fields = head.raw_headers
    if "Connection" in head.headers and (listed := named_by_connection(fields)):
        fields = tuple(field for field in fields if field[0].lower() not in listed)
    if head.status == 204 or head.status < 200:  # have no length (RFC 9110 8.6)
        fields = _without(fields, b"content-length")
    lines = [b"HTTP/1.1 %d %b\r\n" % (head.status, head.reason.encode("utf-8", "surrogateescape"))]
    lines += [b"%b: %b\r\n" % field for field in fields if not drops(field[0])]
    lines.append(extra)
    lines.append(b"\r\n")
    return b"".join(lines)


def switch_head(head: ResponseHead, drops: Drops, extra: bytes, protocol: str) -> bytes:
    """A 101 for the client but for its END: it has no body, so nothing of framing is said (RFC 9110 8.6)."""
    raw = response_head(head, drops, b"Connection: Upgrade\r\nUpgrade: %b\r\n" % protocol.encode("ascii") + extra)
    return raw.removesuffix(END)

"""The kind `websocket`: which requests may change the protocol of their connection (RFC 9110 7.8, RFC 6455 4), what the
upstream is told of them, and whether its 101 is one. Pure decisions on heads.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1
from typing import Final, NamedTuple

from gateway.head import RequestHead, ResponseHead
from gateway.outcome import Outcome
from gateway.pipeline import Refusal

ANY: Final = "*"
WEBSOCKET: Final = "websocket"
VERSION: Final = "13"
GOING_AWAY, POLICY_VIOLATION = 1001, 1008  # with what a tunnel is ended (RFC 6455 7.4.1)
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_PROTOCOL: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:/[!#$%&'*+\-.^_`|~0-9A-Za-z]+)?")
_OWN: Final = frozenset({"h2c", "h2", "http", "tls"})  # what ends at this gateway, whatever an upstream may speak

BAD_ORIGIN: Final = Refusal(Outcome.FORBIDDEN, 403, "origin_not_allowed", "Pages of this origin may not connect here.")
BAD_HANDSHAKE: Final = Refusal(
    Outcome.BAD_REQUEST, 400, "bad_handshake", "The request is not a well-formed WebSocket handshake.", close=True
)
BAD_SUBPROTOCOL: Final = Refusal(
    Outcome.BAD_REQUEST, 400, "subprotocol_not_allowed", "None of the subprotocols of the request is spoken here."
)
BAD_VERSION: Final = Refusal(
    Outcome.BAD_REQUEST, 426, "websocket_version", "The only version of the WebSocket protocol spoken here is 13.",
    headers=((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-WebSocket-Version", b"13")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Upgrades:
    """What a route lets through. `origins` are exact, or {"*"}; without `subprotocols` any is. Times in seconds."""

    protocols: frozenset[str]  # in lower case
    origins: frozenset[str]
    subprotocols: frozenset[str]
    idle_timeout: float
    max_time: float


class Offer(NamedTuple):
    """A change of protocol that a request asks for: what the upstream is told, and what its 101 must say."""

    protocol: str
    lines: bytes
    accept: str | None = None  # None: it is no WebSocket
    subprotocols: tuple[str, ...] = ()

    @property
    def framed(self) -> bool:
        """Whether what passes are frames of the WebSocket protocol."""
        return self.accept is not None


def compile_upgrades(
    protocols: Iterable[str], origins: Iterable[str], subprotocols: Iterable[str], idle_timeout: float, max_time: float
) -> Upgrades:
    """The rules of a route. Raises ValueError as `protocols_of` and `subprotocols_of` do."""
    found = protocols_of(protocols)
    return Upgrades(found, frozenset(origins), subprotocols_of(subprotocols, found), idle_timeout, max_time)


def protocols_of(names: Iterable[str]) -> frozenset[str]:
    """Raises ValueError ("what; remedy") for what is no protocol, or must not be one."""
    found = frozenset(name.lower() for name in names)
    if not found:
        raise ValueError('is empty, so nothing is let through; write ["websocket"]')
    for name in sorted(found):
        if not _PROTOCOL.fullmatch(name):
            raise ValueError(f'{name!r} is no protocol; write a name such as "websocket"')
        if name.partition("/")[0] in _OWN:
            raise ValueError(f"{name} would lead past this gateway's own rules; take it out")
    return found


def subprotocols_of(names: Iterable[str], protocols: frozenset[str]) -> frozenset[str]:
    """Raises ValueError ("what; remedy") for what is no subprotocol, or where there can be none."""
    found = frozenset(names)
    for name in sorted(found):
        if not _TOKEN.fullmatch(name):
            raise ValueError(f'{name!r} is no subprotocol; write a name such as "chat.v2"')
    if found and WEBSOCKET not in protocols:
        raise ValueError('only WebSocket has them; add "websocket" to upgrades, or take them out')
    return found


def asks(rules: Upgrades, head: RequestHead) -> Offer | Refusal | None:
    """What a request offers that the route lets through; None: it asks for nothing of the kind, and is served as if it
    had not said Upgrade. With a body it cannot change anything, nor can HTTP/1.0 (RFC 9110 7.8)."""
    if head.version == 0 or head.framing is not None or "upgrade" not in _listed(head, "Connection"):
        return None
    wanted = next((each for each in _listed(head, "Upgrade") if each in rules.protocols), None)
    if wanted is None or (wanted == WEBSOCKET and head.method != "GET"):
        return None
    if not _from_allowed_page(rules, head):
        return BAD_ORIGIN
    return _handshake(rules, head) if wanted == WEBSOCKET else Offer(wanted, _lines(wanted))


def _listed(head: RequestHead | ResponseHead, name: str) -> list[str]:
    """The items of a list field, in lower case."""
    return [item.strip(" \t").lower() for line in head.headers.getall(name, ()) for item in line.split(",")]


def _from_allowed_page(rules: Upgrades, head: RequestHead) -> bool:
    """Browsers let every page connect everywhere and only say which it is: without this its user's cookies would be
    anybody's (RFC 6455 10.2). Who sends no Origin is no browser."""
    origins = head.headers.getall("Origin", ())
    return not origins or ANY in rules.origins or (len(origins) == 1 and origins[0] in rules.origins)


def _handshake(rules: Upgrades, head: RequestHead) -> Offer | Refusal:
    versions = head.headers.getall("Sec-WebSocket-Version", ())
    keys = head.headers.getall("Sec-WebSocket-Key", ())
    if len(versions) != 1 or len(keys) != 1 or not _is_nonce(keys[0]):
        return BAD_HANDSHAKE
    if versions[0] != VERSION:
        return BAD_VERSION
    offered = [item.strip(" \t") for line in head.headers.getall("Sec-WebSocket-Protocol", ())
               for item in line.split(",")]  # fmt: skip
    if not all(_TOKEN.fullmatch(name) for name in offered):
        return BAD_HANDSHAKE
    left = tuple(name for name in offered if not rules.subprotocols or name in rules.subprotocols)
    if offered and not left:
        return BAD_SUBPROTOCOL
    said = f"Sec-WebSocket-Protocol: {', '.join(left)}\r\n".encode("ascii") if left else b""
    return Offer(WEBSOCKET, _lines(WEBSOCKET) + said, accept_of(keys[0]), left)


def _is_nonce(key: str) -> bool:
    try:
        return len(b64decode(key, validate=True)) == 16
    except (BadBase64, ValueError):
        return False


def accept_of(key: str) -> str:
    """What Sec-WebSocket-Accept must be for a Sec-WebSocket-Key (RFC 6455 4.2.2)."""
    return b64encode(sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()).decode("ascii")


def _lines(protocol: str) -> bytes:
    return f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n".encode("ascii")


def agreement(offer: Offer) -> bytes:
    """The shortest 101 that agrees to an offer."""
    accept = f"Sec-WebSocket-Accept: {offer.accept}\r\n" if offer.accept is not None else ""
    return b"HTTP/1.1 101 Switching Protocols\r\n" + _lines(offer.protocol) + f"{accept}\r\n".encode("ascii")


def wrong(offer: Offer, head: ResponseHead) -> str | None:
    """What is wrong with a 101, as a note for the record; None where it agrees to what was offered."""
    if "upgrade" not in _listed(head, "Connection") or _listed(head, "Upgrade") != [offer.protocol]:
        return "101 for another protocol"
    if offer.accept is None:
        return None
    if head.headers.getall("Sec-WebSocket-Accept", ()) != [offer.accept]:
        return "101 without Sec-WebSocket-Accept"
    chosen = head.headers.getall("Sec-WebSocket-Protocol", ())
    if len(chosen) > 1 or not set(chosen) <= set(offer.subprotocols):
        return "101 with a subprotocol that was not offered"
    return None

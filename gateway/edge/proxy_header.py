"""The PROXY protocol, versions 1 and 2 (doc/proxy-protocol.txt of HAProxy): what a proxy sends before a connection's
first byte to say whose connection it is. A pure function from the bytes so far; it is bounded, and believes nothing.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

MOST = 4096  # bytes of a header; version 1 has at most MOST_V1, version 2 with a client's certificate a few thousand
MOST_V1 = 107
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED = 16  # bytes of version 2 before its addresses
_LOCAL, _PROXY = 0x20, 0x21  # version 2 and its command
_ADDRESSES = {0x11: (12, 4), 0x21: (36, 16)}  # TCP over IPv4, over IPv6: bytes of all addresses, of the first
_PORT = "(0|[1-9][0-9]{0,4})"
_LINE = re.compile(rf"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP([46]) ([0-9a-fA-F:.]+) ([0-9a-fA-F:.]+) {_PORT} {_PORT})\r\n")


class BadHeaderError(ValueError):
    """These bytes are no PROXY header, nor can they become one; the text says why."""


class Header(NamedTuple):
    """A whole header: its `size` in bytes, and the address of the client. Without one the connection is the proxy's own
    (a health check), or of a kind that has no address."""

    size: int
    client: str | None


def read_header(data: bytes) -> Header | None:
    """The header that `data` begins with, None while it is only a part of one. Raises BadHeaderError as soon as it
    cannot be one."""
    if data[:12] == _SIGNATURE[: len(data)]:
        return _version_2(data) if len(data) >= _FIXED else None
    if data[:6] == b"PROXY "[: len(data)]:
        return _version_1(data)
    raise BadHeaderError("it does not begin with a PROXY header")


def _version_1(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, MOST_V1) + 1
    if not end:
        if len(data) >= MOST_V1:
            raise BadHeaderError("its PROXY line does not end")
        return None
    match = _LINE.fullmatch(data[:end].decode("latin-1"))
    if match is None:
        raise BadHeaderError("its PROXY line is malformed")
    version, source, destination, *ports = match.groups()
    if version is None:
        return Header(end, None)
    family = ipaddress.IPv4Address if version == "4" else ipaddress.IPv6Address
    try:
        client, _ = family(source), family(destination)
    except ValueError:
        raise BadHeaderError("its PROXY line names no address") from None
    if any(int(port) > 65535 for port in ports):
        raise BadHeaderError("its PROXY line names no port")
    return Header(end, _shown(client))


def _version_2(data: bytes) -> Header | None:
    command, kind, length = data[12], data[13], int.from_bytes(data[14:16])
    size = _FIXED + length
    if command not in (_LOCAL, _PROXY):
        raise BadHeaderError("its PROXY header has an unknown version or command")
    if command == _PROXY and (kind >> 4 > 3 or kind & 15 > 2):
        raise BadHeaderError("its PROXY header has an unknown family of addresses")
    if size > MOST:
        raise BadHeaderError(f"its PROXY header is longer than {MOST} bytes")
    needed, width = _ADDRESSES.get(kind, (0, 0)) if command == _PROXY else (0, 0)
    if length < needed:
        raise BadHeaderError("its PROXY header is too short for its addresses")
    if len(data) < size:
        return None
    raw = data[_FIXED : _FIXED + width]
    return Header(size, _shown(ipaddress.ip_address(raw)) if raw else None)


def _shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """As the same client is written who connects without a proxy."""
    return str(getattr(address, "ipv4_mapped", None) or address)

"""PROXY headers as proxies send them, and as they should not."""

from __future__ import annotations

import ipaddress

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(client: str, here: str = "10.0.0.1", port: int = 4711) -> bytes:
    """The line of version 1."""
    family = 6 if ":" in client else 4
    return f"PROXY TCP{family} {client} {here} {port} 443\r\n".encode()


def v2(client: str | None, here: str = "10.0.0.1", port: int = 4711, *, command: int | None = None,
       kind: int | None = None, more: bytes = b"") -> bytes:  # fmt: skip
    """Version 2; without a client it is a health check of the proxy (LOCAL). `more` are further bytes of it."""
    block, usual = b"", 0
    if client is not None:
        parts = (ipaddress.ip_address(client).packed, ipaddress.ip_address(here).packed)
        block = b"".join(parts) + port.to_bytes(2) + (443).to_bytes(2)
        usual = 0x21 if ":" in client else 0x11
    command = command if command is not None else 0x21 if client is not None else 0x20
    block += more
    return SIGNATURE + bytes([command, kind if kind is not None else usual]) + len(block).to_bytes(2) + block

"""The kind `headers`: fields to set and to remove, compiled to the bytes that the shapes of requests and
answers carry (`gateway.shapes`). What frames a message or names its connection cannot be touched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

# RFC 9110 7.6.1 and what message framing and routing stand on; the gateway writes these itself.
UNTOUCHABLE: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
    }
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)

# What the gateway says of a call in each request to an upstream. A rule for one of these would stand beside it.
SAID: Final = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent",
     "gateway-hold"}
)  # fmt: skip

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110 5.5, without obs-text


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """One `headers` table: names with the value they get, and names that go."""

    set: Mapping[str, str] = field(default_factory=dict)
    remove: Sequence[str] = ()


def compile_header_rules(rules: Sequence[HeaderRules]) -> tuple[frozenset[bytes], bytes]:
    """The names to drop (lower case) and the header lines to add (each ending in CRLF) of several tables.

    Later tables win over earlier ones. A name that is set is also dropped, so what arrived does not stand
    beside it. Raises ValueError for what is no field name or value, and for fields the gateway writes itself.
    """
    drop: set[bytes] = set()
    lines: dict[str, bytes] = {}
    for rule in rules:
        for name in rule.remove:
            drop.add(_key(name).encode("ascii"))
            lines.pop(_key(name), None)
        for name, value in rule.set.items():
            drop.add(_key(name).encode("ascii"))
            lines[_key(name)] = f"{name}: {_clean(name, value)}\r\n".encode("ascii")
    return frozenset(drop), b"".join(lines.values())


def _key(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not a header name; write one such as X-Api-Key")
    key = name.lower()
    if key in UNTOUCHABLE:
        raise ValueError(f"headers: {name} belongs to the connection and is written by the gateway; remove this rule")
    return key


def _clean(name: str, value: str) -> str:
    value = value.strip(" \t")
    if not _VALUE.fullmatch(value):  # the value may be a secret: it is not repeated
        raise ValueError(f"headers: the value of {name} holds line breaks, controls or non-ASCII; write plain text")
    return value

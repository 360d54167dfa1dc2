"""How calls are spread over the endpoints of an upstream, as people write it: `balance`. A pure parser; every error is
a ValueError whose text is "what is wrong; what to write instead".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.config.durations import quoted

PLAIN = ("least-held", "round-robin", "random-two")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_WHERE = ("query", "header", "cookie", "path")


@dataclass(frozen=True, slots=True)
class Balance:
    """`kind` is one of PLAIN, "hash" or "sticky"; the last two look at `where` ("consumer", "tenant", or "query",
    "header", "cookie", "path" with a `name`)."""

    kind: str
    where: str = ""
    name: str = ""

    def __str__(self) -> str:
        if not self.where:
            return self.kind
        return f"{self.kind}:{self.where}.{self.name}" if self.name else f"{self.kind}:{self.where}"


LEAST_HELD = Balance("least-held")


def parse_balance(value: object) -> Balance:
    """`"least-held"`, `"round-robin"`, `"random-two"`, `"hash:consumer"`, `"hash:query.x"`, `"sticky:query.sid"`."""
    if isinstance(value, str):
        kind, _, what = value.partition(":")
        where, _, name = what.partition(".")
        if value in PLAIN:
            return Balance(value)
        if kind == "hash" and what in ("consumer", "tenant"):
            return Balance(kind, what)
        if kind in ("hash", "sticky") and where in _WHERE and _NAME.fullmatch(name):
            return Balance(kind, where, name)
        if kind in ("hash", "sticky"):
            raise ValueError(f"{quoted(value)} names nothing in a request; {_hint(kind)}")
    raise ValueError(
        'is no way to spread calls; write "least-held", "round-robin", "random-two", "hash:consumer" or '
        '"sticky:query.NAME"'
    )


def _hint(kind: str) -> str:
    named = [f'"{kind}:{where}.NAME"' for where in _WHERE]
    if kind == "hash":
        named = ['"hash:consumer"', '"hash:tenant"', *named]
    return f"write {', '.join(named[:-1])} or {named[-1]}"

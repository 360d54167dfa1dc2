"""What the gateway keeps of a verified token, and the pure readings of a claim set that get it there. Values
only: no keys, no signatures, no clock of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MISSING: Final = object()  # "no such claim", which is not the same as null
MAX_NAME: Final = 256  # characters of a consumer or tenant
STAND_IN: Final = "\0"  # before a name that stands in for another; no name has it (`name_of`)
_EXACT: Final = 2.0**53  # beyond this a float no longer counts whole seconds


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified caller: shared by every call that presents the same token, so it keeps only what is needed.

    `not_after` is Unix seconds at which the token stops counting (exp + leeway), None if it never does.
    `claims` holds only the claims that some route, limit or identity header reads. `account` is what counts as its
    tenant: the consumer stands in where there is none. Made once, for every limited call asks.
    """

    provider: str
    consumer: str
    tenant: str | None = None
    not_after: float | None = None
    scopes: frozenset[str] = frozenset()
    claims: dict[str, object] = field(default_factory=dict)
    account: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "account", self.tenant or STAND_IN + self.consumer)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a token does not count. `detail` never repeats anything the token said.

    `authentic` is True when the signature was good, so the reason is about the claims.
    """

    slug: str
    detail: str
    authentic: bool = False


def lookup(claims: Mapping[str, object], name: str) -> object:
    """The claim of that name, else the one at that dotted path, else MISSING.

    The whole name comes first: claim names may be URLs, which hold dots (RFC 7519 4.2).
    """
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, dict) or part not in found:
            return MISSING
        found = found[part]
    return found


def name_of(value: object) -> str | None:
    """A claim as the name of a consumer or tenant, None if it cannot be one.

    Whole numbers become decimal text. Names that are blank at an end, long, or unprintable are refused: they
    would not survive a header or a log line unchanged, and two callers could end up as one.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**MAX_NAME else ""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        return None
    return value if value.isprintable() and value == value.strip() else None


def instant_of(value: object) -> float | None:
    """A NumericDate (RFC 7519 2) as Unix seconds, None if it is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -_EXACT < value < _EXACT else None


def scopes_of(claims: Mapping[str, object]) -> frozenset[str]:
    """What the token may be used for: `scope` (RFC 9068 2.2.3), else `scp`; text with spaces, or a list."""
    value = claims.get("scope")
    if value is None:
        value = claims.get("scp")
    if isinstance(value, str):
        value = value.split(" ")
    if not isinstance(value, list):
        return frozenset()
    return frozenset(item for item in value if isinstance(item, str) and item)


def texts_of(value: object) -> tuple[str, ...]:
    """A claim as the texts a rule may ask for: a list gives one for each member that has a text."""
    if isinstance(value, list):
        return tuple(text for item in value if not isinstance(item, list) for text in texts_of(item))
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, str):
        return (value,)
    return (str(value),) if isinstance(value, int) else ()

"""How one endpoint stands with those who watch it: its strikes, its probes, since when it is in or out and why. It lies
on the endpoint, so it goes on over a reload and is gone with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from gateway.clock import NEVER
from gateway.upstream.ejection import Strikes

EJECTION, HEALTH = "ejection", "health"  # why an endpoint is out: the table that says so
ILL: Final = frozenset({EJECTION, HEALTH})

Kind: TypeAlias = Literal["eject", "probe", "restore"]


class Probe(NamedTuple):
    """What came of a probe. `said` is a word or two: `status 200`, `timeout`; times are seconds."""

    good: bool
    said: str
    at: float  # loop instant
    took: float


@dataclass(frozen=True, slots=True)
class Event:
    """An endpoint was ejected, its probes took it out, or it is back. `taking` of `members` take calls by now."""

    kind: Kind
    upstream: str
    endpoint: str
    why: str
    taking: int
    members: int
    lasts: float | None = None  # seconds, of an ejection
    strikes: int | None = None
    times: int | None = None  # ejections in a row, this one included


@dataclass(slots=True)
class Standing:
    """Instants in loop seconds. `good` and `bad` count probes in a row, `probes` all of them by result, `events` what
    happened to the endpoint, by kind."""

    strikes: Strikes = field(default_factory=Strikes)
    since: float | None = None  # it is in, or out, since then; None: from its beginning
    until: float = NEVER  # the end of its ejection
    times: int = 0  # ejections in a row
    lasted: float = 0.0  # the last of them
    good: int = 0
    bad: int = 0
    probe: Probe | None = None  # the last one
    probe_at: float | None = None  # when the next is due
    probes: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

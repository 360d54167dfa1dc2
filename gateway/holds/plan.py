"""What a policy's `hold` table compiled to. Frozen numbers and bound functions, nothing left to look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gateway.head import RequestHead, ResponseHead
from gateway.pipeline import HeaderList, Reply

Predicate = Callable[[RequestHead], bool]
IdleTest = Callable[[ResponseHead, bytes], bool]

NONE = "none"
UNBOUNDED = float("inf")


@dataclass(frozen=True, slots=True)
class Jitter:
    """What an upstream adds to a hold (`ratio` of it, and up to `span` seconds) or takes off it (`early`)."""

    ratio: float = 0.0
    span: float = 0.0
    early: float = 0.0

    def longest(self, hold: float) -> float:
        """Seconds after the hold's end at which a healthy upstream must have answered."""
        return hold * self.ratio + self.span


@dataclass(frozen=True, slots=True)
class AskPlace:
    """One place where a client may state its wish; `unit` is "s", "ms" or "duration" (10s, 5m, 1h30m)."""

    where: Literal["query", "header", "header-item"]
    name: str  # of a header-item: "Prefer/wait"
    unit: Literal["s", "ms", "duration"] = "s"


@dataclass(frozen=True, slots=True)
class Template:
    """The no-news answer in parts: literals and functions of the request, escaped for JSON or for a header.

    `headers` and `body` take the request head and return None when a value they need is missing or unfit.
    `fixed` is the one shared answer of a template that fills nothing in.
    """

    status: int
    headers: Callable[[RequestHead], HeaderList | None]
    body: Callable[[RequestHead], bytes | None]
    needs: Predicate
    fixed: Reply | None = None


@dataclass(frozen=True, slots=True)
class HoldPlan:
    """How one protocol asks, waits and says "no news". All times in seconds.

    `absent` is the hold of a request that states none: None = an ordinary call, UNBOUNDED = held for ever.
    `zero` and `negative` say what a wish of 0 and below 0 mean: "none" = ordinary call, "default" = `absent`.
    `answer` says who may say "no news": "template", "origin" or "never" (DESIGN.md section 4).
    """

    dialect: str
    when: Predicate
    ask: tuple[AskPlace, ...]
    absent: float | None
    zero: Literal["none", "default"]
    negative: Literal["none", "default"]
    min: float
    max: float
    over_max: Literal["clamp", "reject", "pass"]
    rewrite: bool
    jitter: Jitter
    margin: float
    client_timeout: float | None
    answer: Literal["template", "origin", "never"]
    template: Template | None
    idle: IdleTest
    idle_body_limit: int  # bytes of body that an idle test may need; 0 when status and headers decide
    cursor: Callable[[RequestHead], str | None]
    replay: Literal["cursor", "cursor-exclusive", "lease", "until-ack", "destructive", "session", "never"]
    refusals: dict[int, tuple[HeaderList, bytes]]  # status -> this protocol's own words

    @property
    def writable(self) -> bool:
        """Whether the upstream can be told another wait than the client asked for."""
        return self.rewrite and bool(self.ask)

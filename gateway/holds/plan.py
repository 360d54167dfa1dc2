"""What a policy's `hold` table compiled to. Frozen numbers and bound functions, nothing left to look up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.head import RequestHead, ResponseHead
from gateway.pipeline import HeaderList, Reply

Predicate = Callable[[RequestHead], bool]
Place = Callable[[RequestHead], "str | None"]
Recalled = tuple["str | None", ...]  # what an idle test compares answers with, read from the request
IdleTest = Callable[[ResponseHead, bytes, Recalled], bool]
Unit = Literal["s", "ms", "duration", "iso"]

NONE: Final = "none"
UNWRITABLE = ("xml", "session")  # places of a wish where no other can be written
UNBOUNDED: Final = float("inf")


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
    """One place where a client may state its wish; `unit` is "s", "ms", "duration" (5m, 1h30m) or "iso" (PT10S)."""

    where: Literal["query", "header", "header-item", "form", "json", "xml", "path", "session"]
    name: str  # of a header-item: "Prefer/wait", of json a pointer, of session a place in an answer
    unit: Unit = "s"
    template: str = ""  # of path: the route's path, to know which part of it the name stands for


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
class OwnWords:
    """A refusal as a protocol's clients read it. `body` is made of status, detail and seconds to wait (or None)."""

    status: int
    headers: HeaderList
    body: Callable[[int, str, int | None], bytes]


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """Where the hold of a whole session is learnt: the answer to a request of which `when` holds names the session and
    says the hold. Later polls name the session at `key`. `keep` is in seconds."""

    key: Place
    when: Predicate
    id: Callable[[ResponseHead, bytes], str | None]
    hold: Callable[[ResponseHead, bytes], float | None]  # seconds
    keep: float


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
    refusals: dict[int, OwnWords]  # by the status they stand for
    # What only some protocols need; the defaults cost nothing.
    body_limit: int = 0  # bytes of a request's body that are read; 0: nobody looks into it
    head_when: Predicate | None = None  # the part of `when` that a head decides: only then is a body read
    unbounded: Predicate | None = None  # a hold without an end of its own
    signed: Predicate | None = None  # no byte of such a request may be changed
    recall: Callable[[RequestHead], Recalled] | None = None  # what `idle` compares answers with
    early_headers: bool = False  # a first byte is not an answer
    key: Place | None = None  # who counts as one poller; None: the caller
    concurrency: Literal["many", "newest-wins", "oldest-wins", "session-fatal"] = "many"
    loser: Reply | None = None  # what that poll is told which gives way
    min_repoll: float = 0.0
    session: SessionPlan | None = None
    last: tuple[str, ...] = ()  # header fields of answers to be remembered, in lower case
    # The same dialect as it counts for single polls; whoever holds such a poll needs to know no more than that.
    fixed: HoldPlan | None = None  # nothing of the request may be changed
    endless: HoldPlan | None = None  # the poll has no end of its own
    tells_apart: bool = field(init=False)  # whether anything depends on who polls
    writable: bool = field(init=False, default=False)  # whether the upstream can be told another wait than it was asked

    def __post_init__(self) -> None:
        writable = self.rewrite and any(place.where not in UNWRITABLE for place in self.ask)
        object.__setattr__(self, "writable", writable)
        object.__setattr__(self, "tells_apart", self.concurrency != "many" or self.min_repoll > 0)

"""What an explanation says of a hold, as frozen values; see `model`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BodyStory:
    """The request's body as the dialect saw it. `type` is its media type, "" when none was sent; `says` whether it was
    read and what came of that."""

    bytes: int
    type: str
    read: bool
    says: str


@dataclass(frozen=True, slots=True)
class WishStory:
    """What the client stated. `places` are where the dialect looks, in order; `text` is what stands at `place`, `unit`
    how it is read; `means` says what became of it."""

    places: tuple[str, ...]
    place: str | None
    text: str | None
    unit: str | None
    means: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What a dialect says about polls, in words for this request."""

    name: str
    says: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A line of `when`; `depth` is how deep it nests."""

    text: str
    holds: bool
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """Something a hold must end before."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class HoldStory:
    """Whether the request is a poll, and until when it may be held. `unlimited` is what would be granted if nothing
    but the dialect limited it; the sum `granted + jitter + margin` is the deadline."""

    dialect: str
    held: bool
    reason: str
    conditions: tuple[Condition, ...]
    place: str | None  # where the wish stood
    asked: float | None
    absent: float | None
    note: str | None = None
    cursor: str | None = None
    granted: float | None = None
    unlimited: float | None = None
    clamped_by: str | None = None
    jitter: float | None = None
    margin: float | None = None
    deadline: float | None = None
    limits: tuple[Limit, ...] = ()
    upstream_due: float | None = None
    rewritten: bool = False  # the upstream is told another wait than the client wrote
    sent: float | None = None
    told: float | None = None  # what the upstream would read in the request as it came
    no_news: str = "origin"  # who may say it: "template", "origin", "never"
    replay: str = "never"
    body: BodyStory | None = None
    wish: WishStory | None = None
    unbounded: tuple[Condition, ...] = ()
    signed: tuple[Condition, ...] = ()
    unchanged: str | None = None  # why nothing was written into the request

"""Every way a call can end, as a closed list. One table says for each ending who is to blame, what an
upstream endpoint is charged with, which sampling class it belongs to and how loud its log line is.
A new ending is a new row here and a golden record; nothing else may invent one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Blame(StrEnum):
    """Who caused the ending: nobody, the client's side, this gateway, or the upstream."""

    NONE = "none"
    DOWNSTREAM = "downstream"
    GATEWAY = "gateway"
    UPSTREAM = "upstream"


class Outcome(StrEnum):
    """The ending of one call, as it stands in the record, the metrics and the docs."""

    ANSWERED = "answered"  # an ordinary call got its answer
    NEWS = "news"  # a poll was answered with news
    EMPTY = "empty"  # the upstream itself said "no news"
    BLANK = "blank"  # we said "no news" before the upstream was due
    OVERRUN = "overrun"  # we said "no news" although the upstream was due
    STREAMED = "streamed"  # a stream of events that the upstream ended
    TUNNELLED = "tunnelled"
    CLIENT_GONE = "client_gone"
    CLIENT_TIMEOUT = "client_timeout"  # the client sent or took nothing for too long
    EVICTED = "evicted"
    SUPERSEDED = "superseded"  # it gave way to a newer poll of the same poller
    CONFLICT = "conflict"  # another poll of the same poller was there first
    DRAINED = "drained"
    EXPIRED = "expired"  # the hold or stream was cut at the end of its token, or a stream at that of its longest time
    REVOKED = "revoked"
    RATE_LIMITED = "rate_limited"
    CAPPED = "capped"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BAD_REQUEST = "bad_request"
    TOO_LARGE = "too_large"
    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PREFLIGHT = "preflight"  # a CORS preflight, answered here
    UPSTREAM_ERROR = "upstream_error"  # the upstream's own 5xx, relayed
    UPSTREAM_REFUSED = "upstream_refused"  # no connection could be had
    UPSTREAM_RESET = "upstream_reset"  # the connection died before an answer
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_BAD = "upstream_bad"  # the answer was not HTTP we can relay
    TRUNCATED = "truncated"  # the answer was cut after its head was relayed
    OVERLOADED = "overloaded"
    INTERNAL_ERROR = "internal_error"


# Those that the hot path compares with, as globals: on CPython 3.11 an enum's attribute costs four times a global, and
# compiled a final one costs nothing.
ANSWERED: Final[Outcome] = Outcome.ANSWERED
NEWS: Final[Outcome] = Outcome.NEWS
EMPTY: Final[Outcome] = Outcome.EMPTY
TUNNELLED: Final[Outcome] = Outcome.TUNNELLED
EVICTED: Final[Outcome] = Outcome.EVICTED
UPSTREAM_ERROR: Final[Outcome] = Outcome.UPSTREAM_ERROR
INTERNAL_ERROR: Final[Outcome] = Outcome.INTERNAL_ERROR


class Sign(StrEnum):
    """What an ending says of the endpoint that had the call (`upstream.ejection`)."""

    NOTHING = "nothing"
    ANSWER = "answer"  # it answers; with a status of the operator's choice that is a strike all the same
    QUIET = "quiet"  # it answers, and whatever the status, "no news" is what was asked for
    STRIKE = "strike"
    OVERRUN = "overrun"  # a strike once it is a habit


@dataclass(frozen=True, slots=True)
class Ending:
    """What an outcome means to everyone who counts: blame, what it says of the endpoint, sampling class, level."""

    blame: Blame = Blame.NONE
    sign: Sign = Sign.NOTHING
    share: str = "news"  # "news", "empty" or "error": the class of `telemetry.sample`
    level: str = "info"


_QUIET: Final = Ending(share="empty")
_ANSWER: Final = Ending(sign=Sign.ANSWER)
_CLIENT: Final = Ending(Blame.DOWNSTREAM)
_REFUSED: Final = Ending(Blame.DOWNSTREAM, level="notice")
_UPSTREAM: Final = Ending(Blame.UPSTREAM, Sign.STRIKE, share="error", level="warning")

ENDINGS: Final[dict[Outcome, Ending]] = {
    Outcome.ANSWERED: _ANSWER,
    Outcome.NEWS: _ANSWER,
    Outcome.EMPTY: Ending(sign=Sign.QUIET, share="empty"),
    Outcome.BLANK: _QUIET,
    Outcome.OVERRUN: Ending(Blame.UPSTREAM, Sign.OVERRUN, share="error", level="notice"),
    Outcome.STREAMED: _ANSWER,
    Outcome.TUNNELLED: _ANSWER,
    Outcome.CLIENT_GONE: Ending(Blame.DOWNSTREAM, share="empty"),
    Outcome.CLIENT_TIMEOUT: _REFUSED,
    Outcome.EVICTED: Ending(Blame.DOWNSTREAM, share="empty"),
    Outcome.SUPERSEDED: Ending(Blame.DOWNSTREAM, share="empty"),
    Outcome.CONFLICT: _REFUSED,
    Outcome.DRAINED: Ending(Blame.GATEWAY, share="empty"),
    Outcome.EXPIRED: Ending(Blame.DOWNSTREAM, share="empty"),
    Outcome.REVOKED: _REFUSED,
    Outcome.RATE_LIMITED: _REFUSED,
    Outcome.CAPPED: _REFUSED,
    Outcome.UNAUTHENTICATED: _REFUSED,
    Outcome.FORBIDDEN: _REFUSED,
    Outcome.BAD_REQUEST: _REFUSED,
    Outcome.TOO_LARGE: _REFUSED,
    Outcome.NO_ROUTE: _REFUSED,
    Outcome.METHOD_NOT_ALLOWED: _REFUSED,
    Outcome.PREFLIGHT: Ending(),
    Outcome.UPSTREAM_ERROR: Ending(Blame.UPSTREAM, Sign.ANSWER, share="error", level="warning"),
    Outcome.UPSTREAM_REFUSED: _UPSTREAM,
    Outcome.UPSTREAM_RESET: _UPSTREAM,
    Outcome.UPSTREAM_TIMEOUT: _UPSTREAM,
    Outcome.UPSTREAM_BAD: _UPSTREAM,
    Outcome.TRUNCATED: _UPSTREAM,
    Outcome.OVERLOADED: Ending(Blame.GATEWAY, share="error", level="warning"),
    Outcome.INTERNAL_ERROR: Ending(Blame.GATEWAY, share="error", level="error"),
}

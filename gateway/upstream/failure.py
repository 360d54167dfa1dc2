"""The one place where an I/O exception or a broken answer becomes an Outcome, and where an upstream's failure becomes
words for the client. Nothing here echoes what the upstream said.
"""

from __future__ import annotations

import errno
import ssl
from dataclasses import replace
from typing import Final

from gateway.outcome import Outcome
from gateway.pipeline import Refusal

REFUSED: Final = Refusal(
    Outcome.UPSTREAM_REFUSED, 502, "upstream_refused", "The service behind this gateway cannot be reached."
)
UNRESOLVED: Final = Refusal(
    Outcome.UPSTREAM_REFUSED,
    503,
    "upstream_unresolved",
    "The service behind this gateway has no known address just now.",
    retry_after=2,
)
RESET: Final = Refusal(
    Outcome.UPSTREAM_RESET, 502, "upstream_reset", "The service behind this gateway closed the connection."
)
BAD: Final = Refusal(
    Outcome.UPSTREAM_BAD, 502, "upstream_bad", "The service behind this gateway sent a malformed answer."
)
TIMEOUT: Final = Refusal(
    Outcome.UPSTREAM_TIMEOUT,
    504,
    "upstream_timeout",
    "The service behind this gateway did not answer in time.",
)
CONNECT_TIMEOUT: Final = Refusal(
    Outcome.UPSTREAM_REFUSED,
    504,
    "upstream_connect_timeout",
    "The service behind this gateway cannot be reached in time.",
)
TOO_LATE: Final = Refusal(
    Outcome.UPSTREAM_TIMEOUT, 504, "upstream_too_late", "No time was left to ask the service behind this gateway."
)
STALE: Final = replace(RESET)  # the connection was used before, and may have been closed before the request came there
CIRCUIT_OPEN: Final = Refusal(
    Outcome.UPSTREAM_REFUSED, 503, "circuit_open", "The service behind this gateway cannot be reached just now."
)
COMES_BACK: Final = 5  # seconds over which those are spread who were told so
OVERLOADED: Final = Refusal(
    Outcome.OVERLOADED,
    503,
    "overloaded",
    "The service behind this gateway holds as many calls as it may.",
    retry_after=5,
)
NO_ROOM: Final = Refusal(
    Outcome.OVERLOADED, 503, "overloaded", "This gateway has no room for another call just now.", retry_after=5
)
NO_ROOM_TO_HOLD: Final = replace(NO_ROOM, detail="This gateway has no room to hold another poll just now.", close=True)

INTERNAL: Final = Refusal(
    Outcome.INTERNAL_ERROR, 500, "internal_error", "This gateway failed to handle the request.", close=True
)


def of_connect(error: BaseException, place: str = "") -> tuple[Refusal, str]:
    """Why no connection to a place could be had: the refusal and a note for the record (an errno's name, never free
    text). An address that "cannot be assigned" is our own and has no port left; of IPv6 there may just be none."""
    if isinstance(error, ssl.SSLError):
        return REFUSED, "tls"
    if isinstance(error, TimeoutError):
        return CONNECT_TIMEOUT, "timeout"
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return NO_ROOM, "descriptors"
    if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL and ":" not in place:
        return NO_ROOM, "ports"
    return REFUSED, type(error).__name__


def circuit_open(share: float) -> Refusal:
    """Nobody waits for what is not there; `share` (0 to 1) is drawn, so that not all come back together."""
    return replace(CIRCUIT_OPEN, retry_after=1 + int(COMES_BACK * share))


def of_loss(error: BaseException | None) -> tuple[Refusal, str]:
    """Why a connection died before its answer was complete."""
    return RESET, "closed" if error is None else type(error).__name__

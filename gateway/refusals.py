"""The refusals a call may meet before it is forwarded, in one list: reason, status and words. No echo of input."""

from __future__ import annotations

from typing import Final

from gateway.outcome import Outcome
from gateway.pipeline import Refusal

NO_ROUTE: Final = Refusal(Outcome.NO_ROUTE, 404, "no_route", "Nothing is served at this path.")
UNKNOWN_HOST: Final = Refusal(Outcome.NO_ROUTE, 421, "unknown_host", "This server does not answer for that host.")
OVER_MAX: Final = Refusal(
    Outcome.BAD_REQUEST, 400, "hold_too_long", "The request asks to be held longer than is allowed here."
)
TOO_LARGE: Final = Refusal(
    Outcome.TOO_LARGE, 413, "body_too_large", "The request body is larger than is allowed here.", close=True
)
BAD_BODY: Final = Refusal(
    Outcome.BAD_REQUEST, 400, "malformed_body", "The request body is not well framed.", close=True
)
LINE_TOO_LONG: Final = Refusal(Outcome.BAD_REQUEST, 414, "target_too_long", "The request line is too long.", close=True)
HEAD_TOO_LARGE: Final = Refusal(
    Outcome.BAD_REQUEST, 431, "head_too_large", "The request head is too large.", close=True
)
MALFORMED: Final = Refusal(
    Outcome.BAD_REQUEST, 400, "malformed_request", "The request is not well-formed HTTP/1.1.", close=True
)
HEAD_TIMEOUT: Final = Refusal(
    Outcome.CLIENT_TIMEOUT, 408, "head_timeout", "The request head did not arrive in time.", close=True
)
BODY_TIMEOUT: Final = Refusal(
    Outcome.CLIENT_TIMEOUT, 408, "body_timeout", "The request body did not arrive in time.", close=True
)
EXPIRED: Final = Refusal(
    Outcome.UNAUTHENTICATED, 401, "token_expired", "The token ends too soon for this call; present a fresh one.",
    headers=((b"WWW-Authenticate", b'Bearer error="invalid_token", error_description="The token ends too soon"'),),
)  # fmt: skip
REVOKED: Final = Refusal(
    Outcome.REVOKED, 401, "token_revoked", "The token is no longer accepted.",
    headers=((b"WWW-Authenticate", b'Bearer error="invalid_token"'),),
)  # fmt: skip
STARTING: Final = Refusal(
    Outcome.OVERLOADED, 503, "starting", "This gateway has just been started and lets polls in one by one; ask again."
)
NO_STATE: Final = Refusal(
    Outcome.OVERLOADED, 503, "state_unavailable", "The limits of this service cannot be looked up just now."
)
TOO_MANY_POLLS: Final = Refusal(
    Outcome.CAPPED, 429, "too_many_polls", "More polls are held at once than are allowed.", retry_after=1
)
TOO_MANY_CALLS: Final = Refusal(
    Outcome.CAPPED, 429, "too_many_calls", "More calls are under way at once than are allowed.", retry_after=1
)
TOO_MANY_CONNECTIONS: Final = Refusal(
    Outcome.CAPPED, 429, "too_many_connections", "More connections are open from this address than are allowed."
)
DRAINING: Final = Refusal(
    Outcome.DRAINED,
    503,
    "draining",
    "This gateway is being restarted or changed; ask again.",
    retry_after=1,
    close=True,
)
INTERNAL: Final = Refusal(
    Outcome.INTERNAL_ERROR, 500, "internal_error", "This gateway failed to handle the request.", close=True
)


def method_not_allowed(allow: tuple[str, ...]) -> Refusal:
    """405 with the methods that would have been served (RFC 9110 15.5.6)."""
    return Refusal(
        Outcome.METHOD_NOT_ALLOWED, 405, "method_not_allowed", "The method is not served at this path.",
        headers=((b"Allow", ", ".join(allow).encode("ascii")),),
    )  # fmt: skip

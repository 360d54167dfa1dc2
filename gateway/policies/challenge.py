"""Why a caller without a good token is not let in, as he is told: a challenge (RFC 6750 3). None repeats a byte of the
token.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gateway.outcome import Outcome
from gateway.pipeline import Refusal


class Challenge(NamedTuple):
    """Why a caller is not let in, as he is told; `error` is a code of RFC 6750 3.1, None where he showed nothing."""

    status: int
    slug: str
    detail: str
    error: str | None
    scopes: tuple[str, ...] = ()


MISSING: Final = Challenge(401, "token_missing", "a token is needed here", None)
REPEATED: Final = Challenge(400, "token_repeated", "the token was sent twice", "invalid_request")
_OUTCOMES: Final = {400: Outcome.BAD_REQUEST, 401: Outcome.UNAUTHENTICATED, 403: Outcome.FORBIDDEN}


@lru_cache(maxsize=1024)
def refusal(why: Challenge, realm: str) -> Refusal:
    """A refusal with its challenge; a request without credentials is told no error code (RFC 6750 3.1). Few come in
    practice, and those of a flood are all alike."""
    parts = [f'realm="{_quotable(realm)}"']
    if why.error is not None:
        parts += [f'error="{why.error}"', f'error_description="{_quotable(why.detail)}"']
    if why.scopes:
        parts.append(f'scope="{_quotable(" ".join(why.scopes))}"')
    challenge = (b"WWW-Authenticate", ("Bearer " + ", ".join(parts)).encode("ascii"))
    return Refusal(_OUTCOMES[why.status], why.status, why.slug, why.detail, (challenge,))


def _quotable(text: str) -> str:
    """Text as RFC 6750 3 lets it stand between quotes: printable ASCII without quote and backslash."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in text)

"""The signed envelope of a token (RFC 7515, compact form): takes it apart strictly, checks its protected
header and its signature, and hands out the payload. What the payload claims is none of its business.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final, NamedTuple

from gateway.identity.claims import Rejected
from gateway.identity.keys import KeySet
from gateway.identity.strict import base64url, json_object

MAX_TOKEN: Final = 8 * 1024  # characters

_TOO_LONG: Final = Rejected("token_too_long", f"the token is longer than {MAX_TOKEN} characters")
_MALFORMED: Final = Rejected("token_malformed", "the token is not a well-formed signed token")
_ALGORITHM: Final = Rejected("algorithm_not_allowed", "the signature algorithm of the token is not allowed here")
_CRITICAL: Final = Rejected("token_malformed", "the token demands an extension that is not understood here")
_KEY_UNKNOWN: Final = Rejected("key_unknown", "no known key fits the token")
_BAD_SIGNATURE: Final = Rejected("bad_signature", "the signature of the token is not valid")


class Opened(NamedTuple):
    """A token whose signature is good: its protected header and its payload, not yet read."""

    header: dict[str, object]
    payload: bytes


def open_token(token: str, keys: KeySet, algorithms: Container[str]) -> Opened | Rejected:
    """Checks the signature of a compact JWS (RFC 7515 5.2) with one of `keys` and one of `algorithms`.

    Keys come from `keys` alone: `jku`, `jwk`, `x5u` and `x5c` in the header are ignored, `kid` is only
    compared. Never raises, whatever the token.
    """
    if len(token) > MAX_TOKEN:
        return _TOO_LONG
    signing_input, _, last = token.rpartition(".")
    first, dot, middle = signing_input.partition(".")
    if not dot:  # a dot too many is in the middle, where base64url has none
        return _MALFORMED
    try:
        header = json_object(base64url(first))
        payload = base64url(middle)
        signature = base64url(last)
    except (ValueError, RecursionError):
        return _MALFORMED
    return _check_header(header, algorithms) or _check_signature(
        header, signing_input.encode("ascii"), payload, signature, keys
    )


def unverified_issuer(token: str) -> str | None:
    """The issuer a token names, before anything was checked: for choosing whom to ask, nothing else."""
    if len(token) > MAX_TOKEN or token.count(".") != 2:
        return None
    try:
        issuer = json_object(base64url(token.split(".")[1])).get("iss")
    except (ValueError, RecursionError):
        return None
    return issuer if isinstance(issuer, str) else None


def _check_header(header: dict[str, object], algorithms: Container[str]) -> Rejected | None:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or not isinstance(header.get("kid", ""), str):
        return _MALFORMED
    # No extension is implemented, so whatever is critical is unknown (RFC 7515 4.1.11). A JWT is never
    # unencoded (RFC 7797 7).
    if "crit" in header or header.get("b64", True) is not True:
        return _CRITICAL
    return None if algorithm in algorithms else _ALGORITHM


def _check_signature(
    header: dict[str, object], signing_input: bytes, payload: bytes, signature: bytes, keys: KeySet
) -> Opened | Rejected:
    kid = header.get("kid")
    candidates = keys.candidates(kid if isinstance(kid, str) else None, str(header["alg"]))
    if not candidates:
        return _KEY_UNKNOWN
    for verify in candidates:
        if verify(signing_input, signature):
            return Opened(header, payload)
    return _BAD_SIGNATURE

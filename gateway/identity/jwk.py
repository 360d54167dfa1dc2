"""One member of a JWK set (RFC 7517) as a key that may check signatures, or the reason why it may not. Only
the public members of a key are ever read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm

from gateway.identity.algorithms import KEY_TYPES, Verify, bind, key_from_jwk
from gateway.identity.strict import base64url

# What makes the key, by its type (RFC 7518 6.2.1, 6.3.1, 6.4; RFC 8037 2).
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x"), "oct": ("k",)}


@dataclass(frozen=True, slots=True)
class Key:
    """A key bound to the algorithms it may check, and the name that tokens call it by, if any."""

    kid: str | None
    verifiers: dict[str, Verify]


def read_jwk(member: object, algorithms: Sequence[str]) -> Key:
    """The key of one JWK, bound to those of `algorithms` that its type, curve, length and `alg` allow.

    Raises ValueError with the reason, as half a sentence, when it is malformed or not meant for signatures.
    """
    if not isinstance(member, dict):
        raise ValueError("it is not a JSON object")
    kid = member.get("kid")
    if kid is not None and not isinstance(kid, str):
        raise ValueError("kid is not text")
    _check_purpose(member)
    key_type = member.get("kty")
    if not isinstance(key_type, str) or key_type not in _MEMBERS:
        raise ValueError("kty is none of " + ", ".join(_MEMBERS))
    verifiers, reason = bind(key_type, _material(key_type, member), _bound_algorithms(member, key_type, algorithms))
    if not verifiers:
        raise ValueError(reason or f"no algorithm of the list uses a key of type {key_type}")
    return Key(kid, verifiers)


def is_private(member: object) -> bool:
    """True for a key pair whose private half should not be in a file of public keys."""
    return isinstance(member, dict) and member.get("kty") != "oct" and "d" in member


def _check_purpose(member: dict[str, object]) -> None:
    """RFC 7517 4.2 and 4.3: a key that says what it is for is used for nothing else."""
    if member.get("use", "sig") != "sig":
        raise ValueError("use is not sig")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("key_ops does not include verify")
    if not all(isinstance(item, str) for item in operations) or len(set(operations)) != len(operations):
        raise ValueError("key_ops is malformed")


def _bound_algorithms(member: dict[str, object], key_type: str, algorithms: Sequence[str]) -> Sequence[str]:
    """Those of `algorithms` this key may be used with: only its own `alg`, if it has one (RFC 7517 4.4)."""
    if "alg" not in member:
        return algorithms
    algorithm = member["alg"]
    if not isinstance(algorithm, str) or KEY_TYPES.get(algorithm) != key_type:
        raise ValueError(f"alg is not a signature algorithm for keys of type {key_type}")
    if algorithm not in algorithms:
        raise ValueError(f"alg is {algorithm}, which the provider does not list")
    return (algorithm,)


def _material(key_type: str, member: dict[str, object]) -> object:
    members: dict[str, str] = {}
    for name in _MEMBERS[key_type]:
        value = member.get(name)
        if not isinstance(value, str):
            raise ValueError(f"{name} is missing or not text")
        members[name] = value
        if name != "crv":
            _check_base64url(name, value)
    try:
        return key_from_jwk(key_type, members)
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        raise ValueError(f"its members do not make a valid key of type {key_type}") from None


def _check_base64url(name: str, value: str) -> None:
    try:
        base64url(value)
    except ValueError:
        raise ValueError(f"{name} is not base64url without padding") from None

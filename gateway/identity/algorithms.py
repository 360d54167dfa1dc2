"""The signature algorithms a token may use, each tied to one type of key and to a floor for its size. The
arithmetic is PyJWT's; what is decided here is that a key is bound to its algorithms when it is loaded, never
by a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from jwt.algorithms import Algorithm, get_default_algorithms
from jwt.exceptions import InvalidKeyError

Verify = Callable[[bytes, bytes], bool]  # (signing input, signature) -> good or not

# RFC 7518 3.1, RFC 8037 3.1, RFC 8812 3.2. "none" has no row, so nothing can allow it.
KEY_TYPES = {
    "HS256": "oct", "HS384": "oct", "HS512": "oct",
    "RS256": "RSA", "RS384": "RSA", "RS512": "RSA",
    "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
    "ES256": "EC", "ES384": "EC", "ES512": "EC", "ES256K": "EC",
    "EdDSA": "OKP",
}  # fmt: skip

MAX_RSA_BITS = 16384  # a longer one makes every check slow and no forgery harder


def check_algorithms(algorithms: Iterable[str]) -> None:
    """Raises ValueError when the list is empty, names an algorithm that is not served, or mixes secrets with
    public keys (a public key taken for an HMAC secret lets anyone sign)."""
    names = tuple(algorithms)
    if not names:
        raise ValueError('algorithms is empty; name what the issuer signs with, such as ["RS256"]')
    for name in names:
        if name not in KEY_TYPES:
            raise ValueError(f"algorithm {name!r} is not available; choose from {', '.join(KEY_TYPES)}")
    kinds = {KEY_TYPES[name] == "oct" for name in names}
    if len(kinds) > 1:
        raise ValueError("algorithms mixes HMAC (HS..) with public keys; make two providers of it")


def bind(key_type: str, key: Any, algorithms: Iterable[str]) -> tuple[dict[str, Verify], str | None]:
    """The checks a key can make, by algorithm name, for those of `algorithms` that fit it.

    Also returns why an algorithm of the right type was left out (curve, length), or None.
    """
    bound: dict[str, Verify] = {}
    reason = None
    known = get_default_algorithms()
    for name in algorithms:
        if KEY_TYPES[name] == key_type:
            unfit = _unfit(known[name], name, key)
            reason = reason or unfit
            if unfit is None:
                bound[name] = partial(_verify, known[name], known[name].prepare_key(key))
    return bound, reason


def key_from_jwk(key_type: str, members: dict[str, str]) -> Any:
    """The key object of a JWK's public members. Raises ValueError for a bad point, length or curve."""
    name = next(name for name, kind in KEY_TYPES.items() if kind == key_type)
    try:
        return get_default_algorithms()[name].from_jwk({"kty": key_type, **members})
    except InvalidKeyError as error:
        raise ValueError(str(error)) from None


def _verify(algorithm: Algorithm, key: Any, signing_input: bytes, signature: bytes) -> bool:
    return algorithm.verify(signing_input, key, signature)


def _unfit(algorithm: Algorithm, name: str, key: Any) -> str | None:
    """Why this key must not be used with this algorithm, None if it may."""
    if isinstance(key, bytes):
        floor = int(name[2:]) // 8  # RFC 7518 3.2: as long as the hash
        if len(key) < floor:
            return f"{len(key)} bytes are too short for {name}, which needs {floor} or more"
    try:
        prepared = algorithm.prepare_key(key)
    except InvalidKeyError as error:
        return str(error)
    bits = getattr(prepared, "key_size", 0)
    if bits > MAX_RSA_BITS:
        return f"an RSA key of {bits} bits is longer than {MAX_RSA_BITS}"
    return f"{name} needs an RSA key of 2048 bits or more" if algorithm.check_key_length(prepared) else None

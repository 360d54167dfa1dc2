"""Making tokens for a provider whose key is at hand: what `gateway token` prints. For trying things out and for
tests; a provider that only knows public keys cannot be served here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import get_default_algorithms

from gateway.config.references import read_secret, read_text
from gateway.identity.keys import KeySet

if TYPE_CHECKING:
    from gateway.config.schema import JwtProvider

_CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1", "ES256K": "secp256k1"}


def issue(
    provider: JwtProvider,
    subject: str,
    ttl: float,
    claims: Mapping[str, object],
    *,
    now: float,
    environ: Mapping[str, str],
) -> str:
    """A signed token that `provider` accepts from `now` (Unix seconds) for `ttl` seconds.

    `claims` come on top; a dotted name reaches inside, unless it is a URL. `subject` is put into `sub` and into the
    provider's consumer claim. Raises ValueError ("what; remedy") when there is no key to sign with.
    """
    key, algorithm, key_id = _signing_key(provider, environ)
    payload: dict[str, Any] = {"sub": subject, "iat": int(now), "exp": int(now + ttl)}
    if provider.issuer is not None:
        payload["iss"] = provider.issuer
    if provider.audience:
        payload["aud"] = provider.audience[0]
    put(payload, provider.consumer, subject)
    for name, value in claims.items():
        put(payload, name, value)
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": key_id} if key_id else None)


def put(payload: dict[str, Any], name: str, value: object) -> None:
    """Sets a claim. Dots in a name lead into tables, but a URL is one name (RFC 7519 4.2)."""
    *path, last = [name] if "/" in name or ":" in name else name.split(".")
    for part in path:
        inner = payload.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ValueError(f"the claim {part} is no table, so {name} has no place; leave one of them out")
        payload = inner
    payload[last] = value


def _signing_key(provider: JwtProvider, environ: Mapping[str, str]) -> tuple[Any, str, str | None]:
    """The key, the algorithm it signs with, and the name it has in the provider's JWK set, if any."""
    keys = provider.keys
    if keys.private_key is not None:
        key = _load(read_text(keys.private_key).encode())
        key_id = _name_in(read_text(keys.jwks), key) if keys.jwks is not None else None
        return key, _algorithm(key, provider.algorithms), key_id
    if keys.secret is not None:
        secret = read_secret(keys.secret, environ)
        KeySet.from_secret(secret.encode(), provider.algorithms, "keys.secret")  # refuses one that is too short
        return secret, provider.algorithms[0], None
    raise ValueError(
        "this provider has only public keys, nothing to sign with; add keys = { private_key = .. } beside them, "
        "or get a token from the issuer"
    )


def _load(pem: bytes) -> Any:
    try:
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("the private key is not a plain PEM private key; name one") from None


def _algorithm(key: Any, allowed: Iterable[str]) -> str:
    """The first allowed algorithm that this key can sign with."""
    known = get_default_algorithms()
    for name in allowed:
        try:
            known[name].prepare_key(key)
        except (TypeError, jwt.InvalidKeyError):
            continue
        curve = getattr(getattr(key, "curve", None), "name", None)
        if curve == _CURVES.get(name):
            return name
    raise ValueError("the private key fits none of the provider's algorithms; add the one it signs with")


def _name_in(jwks: str, key: Any) -> str | None:
    """The `kid` of the public half of `key` in a JWK set (RFC 7517 4.5)."""
    try:
        members = jwt.PyJWKSet.from_json(jwks).keys
    except (jwt.PyJWTError, ValueError):
        return None
    return next((each.key_id for each in members if each.key == key.public_key()), None)

"""Keys and tokens for the tests of identity: honest ones, and ones spelt byte by byte that no library would make."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from gateway.identity.keys import KeySet
from gateway.identity.verify import Provider

NOW = 1_800_000_000.0
SECRET = b"0123456789abcdef" * 4
CLAIMS: dict[str, Any] = {"iss": "https://id.test/", "aud": "updates", "sub": "alice", "exp": NOW + 3600}

_CURVES: dict[str, Any] = {
    "ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1, "ES256K": ec.SECP256K1,
}  # fmt: skip


@cache
def private_key(kind: str, number: int = 0) -> Any:
    """One key pair per kind ("RS", "ES256", "Ed25519", "Ed448", "weak") and number, made once."""
    if kind in ("RS", "weak"):
        return rsa.generate_private_key(65537, 2048 if kind == "RS" else 1024)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind]())


def key_for(algorithm: str) -> Any:
    """The signing key the tests use with an algorithm."""
    if algorithm.startswith("HS"):
        return SECRET
    return private_key({"R": "RS", "P": "RS"}.get(algorithm[0], algorithm.replace("EdDSA", "Ed25519")))


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def jwk_of(algorithm: str, key: Any = None, **members: object) -> dict[str, Any]:
    """The public JWK of a key, with more members; a member that is None is left out."""
    key = key_for(algorithm) if key is None else key
    public = key if isinstance(key, bytes) else key.public_key()
    jwk = get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)
    jwk.pop("key_ops", None)
    return {name: value for name, value in (jwk | members).items() if value is not None}


def jwks_of(*members: object) -> str:
    return json.dumps({"keys": members})


def b64(raw: bytes | str | object) -> str:
    """base64url without padding of bytes, of a text, or of a value's JSON."""
    if not isinstance(raw, bytes | str):
        raw = json.dumps(raw)
    return urlsafe_b64encode(raw if isinstance(raw, bytes) else raw.encode()).rstrip(b"=").decode()


def sign(head: object, body: object, algorithm: str = "HS256", key: Any = None) -> str:
    """A token with a good signature over whatever the two parts are (a value, a text or bytes)."""
    signing_input = f"{b64(head)}.{b64(body)}"
    signature = get_default_algorithms()[algorithm].sign(signing_input.encode(), key or key_for(algorithm))
    return f"{signing_input}.{b64(signature)}"


def token(algorithm: str = "HS256", key: Any = None, head: dict[str, Any] | None = None, **claims: Any) -> str:
    """An honest token of CLAIMS, with some header members and claims replaced; a claim of None is left out."""
    body = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return sign({"typ": "JWT", "alg": algorithm} | (head or {}), body, algorithm, key)


def provider(keys: KeySet | None = None, **changes: Any) -> Provider:
    """A provider of HS256 tokens signed with SECRET, with some arguments replaced."""
    algorithms = changes.pop("algorithms", ("HS256",))
    settings: dict[str, Any] = {
        "name": "main",
        "issuer": "https://id.test/",
        "audience": ("updates",),
        "algorithms": algorithms,
        "keys": keys or KeySet.from_secret(SECRET, algorithms, "secret"),
        "leeway": 30.0,
        "consumer": "sub",
        "tenant": None,
        "required": ("exp",),
        "keep_claims": frozenset(),
    }
    return Provider(**(settings | changes))

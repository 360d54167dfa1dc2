"""The keys of one identity provider: read from local bytes (an HMAC secret, a PEM public key, a JWK set),
checked once, then asked for by `kid` and algorithm. Reading files and the network belongs elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.identity.algorithms import KEY_TYPES, Verify, bind, check_algorithms
from gateway.identity.jwk import Key, is_private, read_jwk
from gateway.identity.strict import json_object

FEW = 8  # keys tried for a token that names none; more would hand every forger that many signature checks

_PEM_TYPES = (
    (RSAPublicKey, "RSA"),
    (EllipticCurvePublicKey, "EC"),
    (Ed25519PublicKey, "OKP"),
    (Ed448PublicKey, "OKP"),
)


class KeySet:
    """Keys by name and algorithm. `notices` are sentences for the operator about members that were left out.

    The makers take `algorithms`, the provider's list, and `where`, which names the source in every error and
    notice. They raise ValueError with one sentence that says what to do.
    """

    __slots__ = ("_all", "_named", "_unnamed", "notices")

    def __init__(self, keys: Sequence[Key], notices: tuple[str, ...] = ()) -> None:
        self.notices = notices
        self._all = _by_algorithm(keys)
        self._unnamed = _by_algorithm([key for key in keys if key.kid is None])
        named: dict[str, list[Key]] = {}
        for key in keys:
            if key.kid is not None:
                named.setdefault(key.kid, []).append(key)
        self._named = {kid: _by_algorithm(sharing) for kid, sharing in named.items()}

    def candidates(self, kid: str | None, algorithm: str) -> tuple[Verify, ...]:
        """What may have signed a token with this header.

        These are all keys of that `kid` (several may share one, RFC 7517 4.5) and the keys without a name;
        for a token that names none, all keys if they are few.
        """
        if kid is None:
            found = self._all.get(algorithm, ())
            return found if len(found) <= FEW else ()
        named = self._named.get(kid, {}).get(algorithm, ())
        unnamed = self._unnamed.get(algorithm, ())
        return named + unnamed if len(unnamed) <= FEW else named

    @classmethod
    def from_secret(cls, secret: bytes, algorithms: Sequence[str], where: str) -> KeySet:
        """One HMAC secret, at least as long as the longest hash it is used with (RFC 7518 3.2)."""
        check_algorithms(algorithms)
        verifiers, reason = bind("oct", secret, algorithms)
        if reason is not None:
            remedy = "make one with: openssl rand -base64 64"
            raise ValueError(f"{where}: the secret cannot be used: {reason}; {remedy}")
        if not verifiers:
            raise ValueError(f"{where}: a secret needs HS256, HS384 or HS512 in algorithms")
        return cls((Key(None, verifiers),))

    @classmethod
    def from_public_key(cls, pem: bytes, algorithms: Sequence[str], where: str) -> KeySet:
        """One PEM public key: RSA of 2048 bits or more, EC on the algorithm's curve, Ed25519 or Ed448."""
        check_algorithms(algorithms)
        key_type, key = _load_pem(pem, where)
        verifiers, reason = bind(key_type, key, algorithms)
        if not verifiers:
            fitting = " or ".join(name for name, kind in KEY_TYPES.items() if kind == key_type)
            why = reason or f"no algorithm of the list uses a key of type {key_type}; it takes {fitting}"
            raise ValueError(f"{where}: the public key cannot be used: {why}")
        return cls((Key(None, verifiers),))

    @classmethod
    def from_jwks(cls, text: str | bytes, algorithms: Sequence[str], where: str) -> KeySet:
        """A JWK set (RFC 7517 5). Members that cannot be used are left out, each with a notice."""
        check_algorithms(algorithms)
        keys: list[Key] = []
        notices: list[str] = []
        for index, member in enumerate(_members(text, where)):
            try:
                keys.append(read_jwk(member, algorithms))
            except ValueError as error:
                notices.append(f"keys[{index}] is not used: {error}")
                continue
            if is_private(member):
                notices.append(f"keys[{index}] holds a private key; keep only its public members here")
        if not keys:
            why = ", ".join(notices) or "the set is empty"
            raise ValueError(f"{where}: no key could check a token ({why}); add the issuer's public keys")
        return cls(keys, tuple(f"{where}: {notice}" for notice in notices))


def _by_algorithm(keys: Sequence[Key]) -> dict[str, tuple[Verify, ...]]:
    found: dict[str, tuple[Verify, ...]] = {}
    for key in keys:
        for algorithm, verify in key.verifiers.items():
            found[algorithm] = (*found.get(algorithm, ()), verify)
    return found


def _members(text: str | bytes, where: str) -> list[object]:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        members = json_object(raw).get("keys")
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, list):
        raise ValueError(f'{where}: this is not a JWK set; write {{"keys": [..]}}, a list of public keys')
    return members


def _load_pem(pem: bytes, where: str) -> tuple[str, object]:
    if b"PRIVATE KEY-----" in pem:
        raise ValueError(f"{where}: this is a private key; use its public half: openssl pkey -pubout -in FILE")
    if b"-----BEGIN CERTIFICATE-----" in pem:
        raise ValueError(f"{where}: this is a certificate; use its key: openssl x509 -noout -pubkey -in FILE")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{where}: this is not a PEM public key; it begins with BEGIN PUBLIC KEY") from None
    for kind, key_type in _PEM_TYPES:
        if isinstance(key, kind):
            return key_type, key
    raise ValueError(f"{where}: tokens cannot be checked with this type of key; use RSA, EC, Ed25519 or Ed448")

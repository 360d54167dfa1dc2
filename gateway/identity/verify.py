"""One identity provider: turns a token into an Identity or a reason why not, and remembers the good ones. The
time is handed in; a remembered token is asked for its end on every use.
"""

from __future__ import annotations

from typing import Final

from gateway.identity.algorithms import check_algorithms
from gateway.identity.cache import TokenCache, digest_of
from gateway.identity.claims import MISSING, Identity, Rejected, instant_of, lookup, name_of, scopes_of
from gateway.identity.jws import MAX_TOKEN, open_token
from gateway.identity.keys import KeySet
from gateway.identity.strict import json_object

__all__ = ["MAX_TOKEN", "Identity", "Provider", "Rejected"]

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})  # RFC 7519 5.1, RFC 9068 2.1


def _no(slug: str, detail: str) -> Rejected:
    return Rejected(slug, detail, authentic=True)


_EXPIRED: Final = _no("token_expired", "the token has expired")
_TOO_EARLY: Final = _no("token_not_yet_valid", "the token is not valid yet")


class Provider:
    """One `[jwt.NAME]`: whose tokens count, by which keys, and what is read from them.

    `issuer` None and `audience` () mean that the claim is not looked at. `leeway` is in seconds. `consumer`,
    `tenant`, `required` and `keep_claims` are claim names, dotted paths allowed. At most `cache_size`
    verified tokens are remembered, by digest only. Raises ValueError for algorithms that must not be listed.
    """

    __slots__ = (
        "_audience", "_cache", "_consumer", "_leeway", "_nothing", "_required", "_tenant",
        "algorithms", "era", "issuer", "keep_claims", "keys", "name",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        issuer: str | None,
        audience: tuple[str, ...],
        algorithms: tuple[str, ...],
        keys: KeySet,
        leeway: float,
        consumer: str,
        tenant: str | None,
        required: tuple[str, ...],
        keep_claims: frozenset[str],
        cache_size: int = 100_000,
    ) -> None:
        check_algorithms(algorithms)
        self.name = name
        self.issuer = issuer
        self.algorithms = frozenset(algorithms)
        self.keys = keys
        self.keep_claims = keep_claims
        self._audience = frozenset(audience)
        self._leeway = leeway
        self._consumer = consumer
        self._tenant = tenant
        self._required = required
        self._cache = TokenCache(cache_size)
        self.era = 0  # whoever keeps an identity himself may go by it for as long as this is the same
        self._nothing: dict[str, object] = {}  # one for all identities without claims: 64 bytes per token

    def verify(self, token: str, wall: float, digest: bytes | None = None) -> Identity | Rejected:
        """The caller a token stands for at `wall` (Unix seconds). Never raises, whatever the token. `digest` is the
        token's (`digest_of`), where that is known."""
        digest = digest or digest_of(token)
        if digest is None:
            return self._check(token, wall)
        known = self._cache.get(digest)
        if known is not None:
            return known if wall < (known.not_after or 0.0) else _EXPIRED
        found = self._check(token, wall)
        if type(found) is Identity:
            self._cache.put(digest, found)
        return found

    def recall(self, digest: bytes | None, wall: float) -> Identity | None:
        """The caller of a token verified before that still counts, None otherwise. Checks no signature."""
        known = self._cache.get(digest) if digest is not None else None
        return known if known is not None and wall < (known.not_after or 0.0) else None

    def forget(self) -> None:
        """Drops every remembered token: the keys, or what is read from tokens, have changed."""
        self._cache.clear()
        self.era += 1

    @property
    def remembered(self) -> int:
        """How many verified tokens are held."""
        return len(self._cache)

    def _check(self, token: str, wall: float) -> Identity | Rejected:
        opened = open_token(token, self.keys, self.algorithms)
        if isinstance(opened, Rejected):
            return opened
        if not _is_access_token(opened.header.get("typ", "JWT")):
            return _no("wrong_type", "the token is of another type than JWT")
        try:
            claims = json_object(opened.payload)
        except (ValueError, RecursionError):
            return _no("token_malformed", "the token does not hold a well-formed claim set")
        return self._check_party(claims) or self._check_required(claims) or self._identify(claims, wall)

    def _check_party(self, claims: dict[str, object]) -> Rejected | None:
        """RFC 7519 4.1.1 and 4.1.3: exact, case-sensitive matches."""
        if self.issuer is not None and claims.get("iss") != self.issuer:
            return _no("wrong_issuer", "the token is from another issuer")
        if not self._audience:
            return None
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        if not all(isinstance(item, str) for item in named) or self._audience.isdisjoint(named):
            return _no("wrong_audience", "the token is meant for another audience")
        return None

    def _check_required(self, claims: dict[str, object]) -> Rejected | None:
        for name in self._required:
            if lookup(claims, name) in (MISSING, None):
                return _lacks(name)
        return None

    def _end_of(self, claims: dict[str, object], wall: float) -> float | Rejected:
        """When the token stops counting (Unix seconds), if it counts now (RFC 7519 4.1.4 to 4.1.6)."""
        if claims.get("exp") is None:
            return _lacks("exp")
        instants: dict[str, float] = {}
        for name in ("exp", "nbf", "iat"):
            instant = instant_of(claims.get(name, 0))
            if instant is None:
                return _no("bad_claim", f"the claim {name} is not a point in time")
            instants[name] = instant
        if wall < max(instants["nbf"], instants["iat"]) - self._leeway:
            return _TOO_EARLY
        end = instants["exp"] + self._leeway
        return end if wall < end else _EXPIRED

    def _identify(self, claims: dict[str, object], wall: float) -> Identity | Rejected:
        end = self._end_of(claims, wall)
        if isinstance(end, Rejected):
            return end
        consumer = _name_at(claims, self._consumer)
        if isinstance(consumer, Rejected):
            return consumer
        tenant = self._tenant_of(claims)
        if isinstance(tenant, Rejected):
            return tenant
        share = self._cache.share
        scopes = share(scopes_of(claims))
        return Identity(self.name, consumer, share(tenant), end, scopes, self._kept(claims))

    def _tenant_of(self, claims: dict[str, object]) -> str | Rejected | None:
        if self._tenant is None or lookup(claims, self._tenant) in (MISSING, None):
            return None
        return _name_at(claims, self._tenant)

    def _kept(self, claims: dict[str, object]) -> dict[str, object]:
        values = ((name, lookup(claims, name)) for name in self.keep_claims)
        return {name: value for name, value in values if value is not MISSING} or self._nothing


def _lacks(claim: str) -> Rejected:
    return _no("missing_claim", f"the token lacks the claim {claim}")


def _name_at(claims: dict[str, object], path: str) -> str | Rejected:
    value = lookup(claims, path)
    if value is MISSING or value is None:
        return _lacks(path)
    return name_of(value) or _no("bad_claim", f"the claim {path} cannot serve as a name")


def _is_access_token(typ: object) -> bool:
    return isinstance(typ, str) and typ.lower() in _TYPES

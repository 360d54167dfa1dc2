"""The kind `jwt`: finds the token of a call, has a provider verify it, asks for scopes and claims, and writes
`call.identity`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from gateway.head import LetIn
from gateway.identity.cache import digest_of
from gateway.identity.claims import Identity, Rejected, texts_of
from gateway.identity.jws import unverified_issuer
from gateway.identity.places import (
    Finder,
    Params,
    credential_cookies,
    credential_headers,
    finder,
    names_of,
    without_cookie,
)
from gateway.pipeline import Verdict
from gateway.policies.challenge import MISSING, REPEATED, Challenge, refusal

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import RequestHead
    from gateway.identity.verify import Provider

__all__ = ["compile_jwt", "credential_cookies", "credential_headers", "without_cookie"]

Verifier: TypeAlias = "Callable[[str, float, bytes | None], Identity | Rejected]"
Wanted: TypeAlias = "Mapping[str, Sequence[object] | str | int]"
Permit: TypeAlias = "Callable[[Identity], Challenge | None]"
Places: TypeAlias = "tuple[tuple[Finder, Verifier], ...]"


_NO_ISSUER: Final = Rejected("wrong_issuer", "the token is from an issuer that is not known here")


def compile_jwt(
    providers: Sequence[Provider],
    sources: Sequence[tuple[str, ...]],
    scopes: tuple[str, ...],
    claims: Wanted,
    wall: Callable[[], float],
) -> Identify:
    """What identifies a call, as a step. `sources` are the places of each provider, in the order of `providers`.

    The first place that holds a token decides; the providers that list this place are asked. Query
    parameters that may hold a token are taken out of the call wherever it was found. `claims` maps a claim to
    the values of which it must have one. The realm of a challenge is the name of the call's route. `wall` tells
    Unix seconds. Raises ValueError for an unknown place and for a claim that some provider does not keep.
    """
    _check_kept(providers, claims)
    return Identify(providers, sources, scopes, claims, wall)


class Identify:
    """The step of every route that asks the same: a token that was let in on one is known on the others."""

    __slots__ = ("_permit", "_places", "_query_names", "_remembers", "_wall")

    def __init__(
        self, providers: Sequence[Provider], sources: Sequence[tuple[str, ...]], scopes: tuple[str, ...],
        claims: Wanted, wall: Callable[[], float],
    ) -> None:  # fmt: skip
        self._places = _places(providers, sources)
        self._query_names = names_of("query", (source for listed in sources for source in listed))
        self._permit = _permit(scopes, claims)
        self._remembers = _remembers(providers, sources)
        self._wall = wall

    def identify(self, call: Call) -> Verdict:
        lacks = self._lacks(call)
        return refusal(lacks, call.plan.route if call.plan is not None else "") if lacks is not None else None

    def _lacks(self, call: Call) -> Challenge | None:
        head = call.head
        if head is None:
            return MISSING
        if call.identity is None:  # else `knows` said so
            call.identity = self._still_in(head)
        return self._look(call, head) if call.identity is None else None

    def knows(self, call: Call) -> bool:
        """Whether the caller is known without a look at any signature, and let in: that is written on the call then."""
        head, remembers = call.head, self._remembers
        if head is None or remembers is None:
            return False
        call.identity = self._still_in(head) or self._recognise(head, call.params, remembers)
        return call.identity is not None

    def _still_in(self, head: RequestHead) -> Identity | None:
        """Who was let in with the fields of the request before, where these are the same. He is not looked up: with
        100,000 tokens that are remembered this was 0.3 us of a request."""
        found = head.repeats.let_in if head.repeats is not None else None
        if found is None or found.by is not self or self._remembers is None or found.era != self._remembers.era:
            return None
        return found.identity if self._wall() < (found.identity.not_after or 0.0) else None

    def _recognise(self, head: RequestHead, params: Params, remembers: Provider) -> Identity | None:
        """Who is let in with a token that came before, over another connection."""
        _, tokens = _first_tokens(self._places, head, params)
        known = remembers.recall(digest_of(tokens[0]), self._wall()) if len(tokens) == 1 else None
        if known is None or self._permit(known) is not None:
            return None
        self._keep(head, known)
        return known

    def _keep(self, head: RequestHead, identity: Identity) -> None:
        if head.repeats is not None and self._remembers is not None:
            head.repeats.let_in = LetIn(self, identity, self._remembers.era)

    def _look(self, call: Call, head: RequestHead) -> Challenge | None:
        """Finds the token, and has it verified."""
        verify, tokens = _first_tokens(self._places, head, call.params)
        if self._query_names and head.query:
            _strip_query(call, head, self._query_names)
        if len(tokens) != 1:
            return REPEATED if tokens else MISSING
        found = verify(tokens[0], self._wall(), digest_of(tokens[0]))
        if isinstance(found, Rejected):
            return Challenge(401, found.slug, found.detail, "invalid_token")
        call.identity = found  # also when it is forbidden: the record then says who was refused
        lacks = self._permit(found)
        if lacks is None:
            self._keep(head, found)
        return lacks


def _places(providers: Sequence[Provider], sources: Sequence[tuple[str, ...]]) -> Places:
    """Every place once, in order, with who is asked about a token found there."""
    askers: dict[str, list[Provider]] = {}
    for provider, listed in zip(providers, sources, strict=True):
        for source in listed:
            place = source.lower() if source.startswith("header:") else source
            askers.setdefault(place, []).append(provider)
    if not askers:
        raise ValueError("jwt: no provider with a place for its tokens; name one in provider")
    return tuple((finder(place), _verifier(tuple(asked))) for place, asked in askers.items())


def _first_tokens(places: Places, head: RequestHead, params: Params) -> tuple[Verifier, tuple[str, ...]]:
    for find, verify in places:
        tokens = find(head, params)
        if tokens:
            return verify, tokens
    return places[0][1], ()


def _strip_query(call: Call, head: RequestHead, names: tuple[str, ...]) -> None:
    for name in names:
        if any(found == name for found, _ in head.args):
            head.without_arg(name)
            call.query = head.query


def _verifier(providers: tuple[Provider, ...]) -> Verifier:
    return providers[0].verify if len(providers) == 1 else partial(_verify_any, providers)


def _remembers(providers: Sequence[Provider], sources: Sequence[tuple[str, ...]]) -> Provider | None:
    """Who is asked about the token of a request whose header fields are those of the request before, without looking
    for it again: nobody where it may stand elsewhere, or several may know it."""
    in_fields = all(source.startswith(("header:", "cookie:")) for listed in sources for source in listed)
    return providers[0] if len(providers) == 1 and in_fields else None


def _verify_any(providers: tuple[Provider, ...], token: str, wall: float, digest: bytes | None) -> Identity | Rejected:
    """Asks the providers whose issuer the token names, in order. Of several rejections the last one counts
    that came after a good signature, else the last one."""
    for provider in providers:
        known = provider.recall(digest, wall)
        if known is not None:
            return known
    issuer = unverified_issuer(token)
    rejected = _NO_ISSUER
    for provider in providers:
        if provider.issuer is None or provider.issuer == issuer:
            found = provider.verify(token, wall, digest)
            if isinstance(found, Identity):
                return found
            if found.authentic or not rejected.authentic:
                rejected = found
    return rejected


def _check_kept(providers: Sequence[Provider], claims: Wanted) -> None:
    for provider in providers:
        for name in claims:
            if name not in provider.keep_claims:
                raise ValueError(f"jwt: the provider {provider.name} does not keep the claim {name}")


def _permit(scopes: tuple[str, ...], claims: Wanted) -> Permit:
    """The check of an identity against what a route asks for."""
    needed = frozenset(scopes)
    rules = tuple((name, _allowed(values)) for name, values in claims.items())
    lacking = "the token lacks a scope that is needed here"
    no_scope = Challenge(403, "insufficient_scope", lacking, "insufficient_scope", scopes)
    unfit = "a claim of the token does not have a value that is allowed here"
    no_claim = Challenge(403, "claim_not_allowed", unfit, "insufficient_scope")

    def permit(identity: Identity) -> Challenge | None:
        if not needed <= identity.scopes:
            return no_scope
        for name, allowed in rules:
            if allowed.isdisjoint(texts_of(identity.claims.get(name))):
                return no_claim
        return None

    return permit


def _allowed(values: Sequence[object] | str | int) -> frozenset[str]:
    listed = [values] if isinstance(values, str | int) else list(values)
    return frozenset(texts_of(listed))

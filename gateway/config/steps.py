"""The steps that a route's calls go through before they demand anything, and who verifies its tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.config.references import read_secret, read_text
from gateway.config.sharing import Shared
from gateway.identity.keys import KeySet
from gateway.identity.verify import Provider
from gateway.policies.allow_list import compile_allow_list
from gateway.policies.jwt import compile_jwt
from gateway.policies.sse import last_event

if TYPE_CHECKING:
    from gateway.config import schema
    from gateway.config.merge import Merged
    from gateway.config.settings import Config
    from gateway.pipeline import Step
    from gateway.policies.rate_limit import RateLimit, Screen

Environ = Mapping[str, str]


def compile_steps(
    merged: Merged, early: Sequence[RateLimit], providers: Mapping[str, Provider], config: Config,
    wall: Callable[[], float], screen: Screen, shared: Shared,
) -> tuple[Step, ...]:  # fmt: skip
    """SCREEN before IDENTIFY: a stranger is turned away before any signature is checked. Who is known goes past it, and
    is asked everything at once: in a store elsewhere that is one way instead of two."""
    steps: list[Step] = [shared(compile_allow_list, table.addresses) for table in merged.allow_lists]
    identify = None
    if merged.jwt is not None:
        chosen = tuple(providers[name] for name in merged.jwt.provider)
        sources = tuple(tuple(str(place) for place in config.jwt[name].from_) for name in merged.jwt.provider)
        identify = shared(compile_jwt, chosen, sources, merged.jwt.scopes, merged.jwt.claims, wall)
    if early:
        steps.append(shared(screen.step, early, identify.knows if identify is not None else None))
    if identify is not None:
        steps.append(identify.identify)
    if merged.sse is not None:
        steps.append(last_event)
    return tuple(steps)


def compile_provider(name: str, table: schema.JwtProvider, merged: Iterable[Merged], environ: Environ) -> Provider:
    keys, where = table.keys, f"[jwt.{name}]"
    if keys.secret is not None:
        found = KeySet.from_secret(read_secret(keys.secret, environ).encode(), table.algorithms, where)
    elif keys.public_key is not None:
        found = KeySet.from_public_key(read_text(keys.public_key).encode(), table.algorithms, str(keys.public_key))
    elif keys.jwks is not None:
        found = KeySet.from_jwks(read_text(keys.jwks), table.algorithms, str(keys.jwks))
    else:
        raise ValueError(f"{where}.keys: names no key to verify with; write secret, public_key or jwks")
    kept = {claim for each in merged if each.jwt is not None for claim in each.jwt.claims}
    kept |= {claim for each in merged for claim in each.upstream.identity.claims}
    counted = [table for each in merged for _, table in (*each.rate_limits, *each.hold_caps, *each.concurrency_caps)]
    kept |= {claim for table in counted for claim in table.when_claims}
    kept |= {table.per[6:] for table in counted if table.per.startswith("claim:")}
    return Provider(
        name, table.issuer, table.audience, table.algorithms, found, table.leeway, table.consumer, table.tenant,
        table.require, frozenset(kept),
    )  # fmt: skip

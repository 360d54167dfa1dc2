"""The steps of an admission, watched: each is run for real and says what it thinks, and none ends the call, so that an
operator who lacks a token still sees the rest.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.explain.model import Caller, StepStory
from gateway.identity.claims import texts_of
from gateway.pipeline import Refusal, Step, Verdict
from gateway.routing import Router, Rule

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.settings import Config
    from gateway.explain.secrets import Mask
    from gateway.plan import Snapshot


def lenient(config: Config, snapshot: Snapshot, notes: list[StepStory]) -> Snapshot:
    """The same routes, with steps that write down in `notes` what they think and let every call on."""
    plans = tuple(replace(plan, steps=tuple(_noting(step, notes) for step in plan.steps)) for plan in snapshot.plans)
    rules = (Rule(route.match.host, route.match.path, route.match.methods) for route in config.routes)
    return replace(snapshot, plans=plans, router=Router(zip(rules, plans, strict=True)))


def _noting(step: Step, notes: list[StepStory]) -> Step:
    kind = step.__module__.rpartition(".")[2]  # each kind has a module of its own

    def note(call: Call) -> Verdict:
        verdict = step(call)
        if isinstance(verdict, Refusal):
            notes.append(StepStory(kind, verdict.status, verdict.slug, verdict.detail))
        else:
            notes.append(StepStory(kind, waits=isinstance(verdict, asyncio.Future)))
        return None

    return note


def caller(call: Call, wall: float, mask: Mask) -> Caller | None:
    """Who was identified, None without a token that counts. `wall` is Unix seconds."""
    who = call.identity
    if who is None:
        return None
    return Caller(
        provider=who.provider,
        consumer=mask.text(who.consumer),
        tenant=mask.text(who.tenant) if who.tenant is not None else None,
        scopes=tuple(mask.text(scope) for scope in sorted(who.scopes)),
        claims={name: mask.text(", ".join(texts_of(value))) for name, value in sorted(who.claims.items())},
        ends_in=who.not_after - wall if who.not_after is not None else None,
    )

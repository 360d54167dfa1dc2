"""Refusals as the client of a dialect sees them that has words of its own: each is met by the call on a stage of its
own, and read off the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway import refusals
from gateway.explain.model import OwnWords
from gateway.explain.words import hidden
from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.policies.rate_limit import LIMITED
from gateway.upstream import failure

if TYPE_CHECKING:
    from gateway.explain.events import Play
    from gateway.explain.secrets import Mask
    from gateway.holds.plan import HoldPlan

_USUAL = frozenset({401, 403, 429, 503})  # those every client meets some day
_MET = {
    400: refusals.OVER_MAX,
    401: refusals.EXPIRED,
    403: Refusal(Outcome.FORBIDDEN, 403, "insufficient_scope", "the token lacks a scope that is needed here"),
    404: refusals.NO_ROUTE,
    405: refusals.method_not_allowed(("GET",)),
    413: refusals.TOO_LARGE,
    429: LIMITED,
    500: refusals.INTERNAL,
    502: failure.RESET,
    503: refusals.DRAINING,
    504: failure.TIMEOUT,
}


def own_words(play: Play, hold: HoldPlan, mask: Mask) -> tuple[OwnWords, ...]:
    """() where the dialect leaves all refusals to the gateway's own words."""
    return tuple(_met(play, hold, mask)) if hold.refusals else ()


def _met(play: Play, hold: HoldPlan, mask: Mask) -> Iterator[OwnWords]:
    for status in sorted(_USUAL | hold.refusals.keys()):
        with play() as scene:
            scene.serve.refuse(scene.call, replace(_MET[status], close=False))
            answer = hidden(scene.answer, scene.call.id, mask)
            if answer is not None:
                yield OwnWords(status, status in hold.refusals, answer)

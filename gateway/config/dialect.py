"""A `hold` table compiled: how one protocol asks, waits and says "no news", as numbers and bound functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.holds.blank import compile_template
from gateway.holds.cursor import compile_cursor
from gateway.holds.idle import compile_idle
from gateway.holds.plan import AskPlace, HoldPlan, Jitter, OwnWords
from gateway.holds.predicate import compile_when

if TYPE_CHECKING:
    from gateway.config import schema


def compile_hold(table: schema.Hold, dialect: str) -> HoldPlan:
    """A `hold` table as numbers and bound functions. Raises ValueError for what is no predicate or place."""
    idle, limit = compile_idle(table.idle)
    secret = {str(place) for place in table.secret}  # a cursor that is one is not kept, so that no record shows it
    empty = table.empty
    template = None
    if empty.answer == "template":
        template = compile_template(empty.status, _texts(empty.headers), empty.body, empty.needs)
    return HoldPlan(
        dialect=dialect,
        when=compile_when(table.when),
        ask=tuple(AskPlace(each.in_, each.name, each.unit) for each in table.ask),
        absent=table.absent,
        zero=table.zero,
        negative=table.negative,
        min=table.min,
        max=table.max,
        over_max=table.over_max,
        rewrite=table.rewrite,
        jitter=Jitter(table.jitter.ratio, table.jitter.span, table.jitter.early),
        margin=table.margin,
        client_timeout=table.client_timeout,
        answer=empty.answer,
        template=template,
        idle=idle,
        idle_body_limit=limit,
        cursor=compile_cursor([place for place in table.cursor.request if place not in secret]),
        replay=table.replay,
        early_headers=table.early_headers,
        refusals={int(status): _own_words(int(status), words) for status, words in table.refusals.items()},
    )


def _own_words(status: int, words: schema.OwnWords) -> OwnWords:
    body = words.body.encode()
    headers = tuple((name.encode(), value.encode()) for name, value in _texts(words.headers).items())
    return OwnWords(words.status or status, headers, lambda status, detail, retry_after: body)


def _texts(headers: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in headers.items()}

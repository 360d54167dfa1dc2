"""A `hold` table compiled: how one protocol asks, waits and says "no news", as numbers and bound functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.holds import uses
from gateway.holds.ask import without_end
from gateway.holds.blank import compile_template
from gateway.holds.cursor import compile_cursor
from gateway.holds.idle import compile_idle
from gateway.holds.own_words import compile_loser, compile_own_words
from gateway.holds.places import compile_place
from gateway.holds.plan import AskPlace, HoldPlan, Jitter, OwnWords, Predicate, SessionPlan
from gateway.holds.predicate import compile_when
from gateway.holds.session import compile_session

if TYPE_CHECKING:
    from gateway.config import schema


def compile_hold(table: schema.Hold, dialect: str, path: str = "") -> HoldPlan:
    """A `hold` table as numbers and bound functions; `path` is the path of the route it is attached to. Raises
    ValueError for what is no predicate or place."""
    idle, limit, recall = compile_idle(table.idle)
    secret = {_known_as(str(place)) for place in table.secret}
    empty = table.empty
    template = None
    if empty.answer == "template":
        template = compile_template(empty.status, _texts(empty.headers), empty.body, empty.needs)
    ask = tuple(AskPlace(each.in_, each.name, each.unit, path if each.in_ == "path" else "") for each in table.ask)
    body_limit, head_when = _reading(table)
    plan = HoldPlan(
        dialect=dialect,
        when=compile_when(table.when),
        ask=ask,
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
        recall=recall,
        # a cursor that is secret is not kept, so that no record shows it
        cursor=compile_cursor([place for place in table.cursor.request if _known_as(place) not in secret]),
        replay=table.replay,
        refusals={int(status): _own_words(int(status), words) for status, words in table.refusals.items()},
        body_limit=body_limit,
        head_when=head_when,
        unbounded=_condition(table.unbounded),
        signed=_condition(table.signed),
        early_headers=table.early_headers,
        key=compile_place(table.key) if table.key != "consumer" else None,
        concurrency=table.concurrency,
        loser=compile_loser(table.loser.status, _texts(table.loser.headers), table.loser.body),
        min_repoll=table.min_repoll,
        session=_session(table, ask),
        last=uses.last_headers(place for _, place in looked_at(table)),
    )
    return replace(
        plan,
        fixed=replace(plan, rewrite=False) if plan.rewrite else None,
        endless=without_end(plan) if plan.unbounded is not None else None,
    )


def _reading(table: schema.Hold) -> tuple[int, Predicate | None]:
    """How much of a body is read, and of which requests: of none where nothing looks into it."""
    agreed = table.session
    handshake = agreed is not None and uses.need_body(uses.places_of(agreed.when))
    if not uses.need_body(place for _, place in looked_at(table)):
        return 0, None
    deciding = uses.head_part(table.when)
    if agreed is None or not handshake:
        return table.body_limit, compile_when(deciding)
    return table.body_limit, compile_when({"any": [{"all": deciding}, {"all": uses.head_part(agreed.when)}]})


def looked_at(table: schema.Hold) -> Iterator[tuple[str, str]]:
    """Every place in a request that the dialect looks at, each behind the key that names it."""
    yield from (("ask", f"{each.in_}:{each.name}") for each in table.ask if each.in_ != "session")
    yield from (("cursor.request", place) for place in table.cursor.request)
    yield "key", table.key
    conditions = [("when", table.when), ("unbounded", table.unbounded), ("signed", table.signed)]
    if table.session is not None:
        yield "session.key", table.session.key
        conditions.append(("session.when", table.session.when))
    if table.empty.answer == "template":
        conditions.append(("empty.needs", table.empty.needs))
        for text in (table.empty.body, *_texts(table.empty.headers).values()):
            yield from (("empty", place) for place in uses.places_in(text))
    for key, condition in conditions:
        yield from ((key, place) for place in uses.places_of(condition))
    yield from (("idle", place) for place in uses.recalled_by(table.idle))


def _condition(written: object) -> Predicate | None:
    return compile_when(written) if written is not None else None  # type: ignore[arg-type]


def _session(table: schema.Hold, ask: tuple[AskPlace, ...]) -> SessionPlan | None:
    agreed = table.session
    if agreed is None:
        return None
    return compile_session(agreed.key, agreed.when, agreed.id, agreed.skip, agreed.keep, ask)


def _known_as(place: str) -> str:
    """A place as it is compared: header fields are the same in any case."""
    return place.lower() if place.startswith("header:") else place


def _own_words(status: int, words: schema.OwnWords) -> OwnWords:
    return compile_own_words(words.status or status, _texts(words.headers), words.body)


def _texts(headers: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in headers.items()}

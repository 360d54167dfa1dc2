"""What a dialect says about polls, in words for one request: the answers that are no news, the one the gateway may give
itself, who counts as one poller, what may be done to a poll that is lost or in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.explain.model_hold import Rule
from gateway.explain.settings import written
from gateway.explain.words import fields, listed, seconds
from gateway.holds import uses
from gateway.holds.places import compile_place
from gateway.holds.predicate import compile_when
from gateway.holds.replay import REPLAY

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.schema import Hold
    from gateway.config.schema.hold import Session
    from gateway.explain.secrets import Mask
    from gateway.head import RequestHead
    from gateway.holds.plan import HoldPlan
    from gateway.pipeline import Reply

_SECOND = {
    "many": "is held beside this one",
    "newest-wins": "ends this one, which gives way to it",
    "oldest-wins": "is turned away while this one is held",
    "session-fatal": "is kept here until this one has ended, and a third is turned away",
}


def rules(table: Hold, call: Call, head: RequestHead, blank: Reply | None, mask: Mask) -> tuple[Rule, ...]:
    """What `table`, the hold of the route as written, means for `call`. `blank` is the no-news answer as rendered for
    it, `head` the request as it came."""
    said = [*_of_poll(table, call, head, blank, mask)] if call.hold is not None else []
    if table.session is not None:
        said.append(Rule("session", _session(table, table.session, head)))
    return tuple(said)


def _of_poll(table: Hold, call: Call, head: RequestHead, blank: Reply | None, mask: Mask) -> Iterator[Rule]:
    plan = call.plan.hold if call.plan is not None else None
    assert plan is not None
    yield Rule("no-news answer", _no_news(table, head, blank, mask))
    yield from (Rule("idle", _idle(test, head, mask)) for test in _listed(table.idle))
    if table.cursor.request:
        yield Rule("cursor", "".join(_cursor(table)))
    yield Rule("replay", f"{table.replay}: {_replay(table.replay)}")
    yield Rule("poller", _poller(table, plan, call, head, mask))
    yield Rule("second poll", f"{table.concurrency}: another of the same poller {_SECOND[table.concurrency]}")
    if table.min_repoll:
        back = f"sooner than {seconds(table.min_repoll)} after an answer without news"
        yield Rule("min_repoll", f"who comes back {back} waits here for the rest, out of its own hold")
    if table.early_headers:
        yield Rule("early_headers", _EARLY)


_EARLY = (
    "the answer begins before there is news: its first byte ends no hold and is no news, but from then on nothing "
    "else can be said, so our deadline and a drain close the connection"
)


def _no_news(table: Hold, head: RequestHead, blank: Reply | None, mask: Mask) -> str:
    if table.empty.answer != "template":
        who = "only the upstream may say it" if table.empty.answer == "origin" else "nobody may say it"
        return f'{who} (answer = "{table.empty.answer}")'
    if blank is None:
        return f"cannot be given, {_lacking(table, head)}: only the upstream may end this poll"
    body = mask.text(blank.body.decode("utf-8", "replace"))
    return f"{blank.status}{fields(blank.headers, mask)}" + (f", body {body}" if body else ", no body")


def _lacking(table: Hold, head: RequestHead) -> str:
    """Why the template cannot be filled in for this request."""
    for need in table.empty.needs:
        if not compile_when([need])(head):
            known = ", for no earlier answer is known here" if "last:" in need else ""
            return f"for `{need}` in needs does not hold{known}"
    texts = (table.empty.body, *map(str, table.empty.headers.values()))
    places = dict.fromkeys(place for text in texts for place in uses.places_in(text))
    missing = [place for place in places if compile_place(place)(head) is None]
    if missing:
        return f"for the request has no {listed(missing)}"
    return f"for a value of {listed(places)} cannot stand where it should"


def _listed(tests: object) -> list[object]:
    return list(tests) if isinstance(tests, (list, tuple)) else [tests]


def _idle(test: object, head: RequestHead, mask: Mask) -> str:
    """A test of an answer, and what it compares with in this request."""
    text = test if isinstance(test, str) else written(test)
    values = {place: compile_place(place)(head) for place in uses.recalled_by(test)}
    here = [
        f"{place} is {mask.value(place, value) if value is not None else 'absent'}" for place, value in values.items()
    ]
    return f"`{text}`" + (f" ({', '.join(here)})" if here else "")


def _cursor(table: Hold) -> Iterator[str]:
    yield f"read from {listed(table.cursor.request)}"
    hidden = {str(place) for place in table.secret}
    if any(place in hidden for place in table.cursor.request):
        yield " (secret, so it is not kept)"
    if table.cursor.response is not None:
        yield f", and an answer goes up to {table.cursor.response}"
    if table.cursor.acknowledges:
        yield "; it confirms what was read, so we never move it on"


def _replay(name: str) -> str:
    rights = REPLAY[name]
    again = "is sent once more if its connection is lost" if rights.again else "is never sent a second time"
    early = (
        "may be ended before its time where we may say no news"
        if rights.early
        else "is never ended early by us, for what its answer carries may be lost"
    )
    return f"{again}; {early}"


def _poller(table: Hold, plan: HoldPlan, call: Call, head: RequestHead, mask: Mask) -> str:
    if plan.key is None:
        who = "the consumer" if call.identity is not None else "the address, for want of a consumer"
        return f"{mask.text(call.poller)}, {who}"
    key = plan.key(head)
    if not key:
        return f"nobody: the request has no {table.key}, so no rule about a second poll applies"
    return f"{mask.value(table.key, key[:256])} in {table.key}"


def _session(table: Hold, agreed: Session, head: RequestHead) -> str:
    places = listed(f"{each.name} ({each.unit})" for each in table.ask if each.in_ == "session")
    if compile_when(agreed.when)(head):
        return (
            f"this request begins one: its answer says in {agreed.id} what it is called, in {places} how long it holds"
        )
    kept = f"kept {seconds(agreed.keep)} after its last poll"
    return f"{places} of the answer that began it, known by {agreed.key}, {kept}; explain knows no session"

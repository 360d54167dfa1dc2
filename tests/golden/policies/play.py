r"""Plays one case of a policy's data file and says what came out, aspect by aspect, in the words of the data. A case
names the aspects it cares about; each is played on a stage of its own, so that none disturbs another.

    [[case]]
    name      = "what this shows"
    request   = "GET /updates?last_event_id=7"      # with headers = ["A: b"] and body = ".." where it has them
    before    = [{ request = "..", answer = { .. } }]   # what was asked and answered earlier, by another client
    route     = "[route.hold]\n.."                  # what else is written on the route
    poll      = true                                # false: an ordinary call
    note      = "malformed_ask"                     # what the record notes; "none"
    asked     = 20                                  # seconds; "none": it stated no wish. So granted, deadline, due,
    granted   = 20                                  #   counted from the arrival
    clamped_by = "max"                              # or "min", "none"
    cursor    = "7"
    forwarded = "GET /updates?last_event_id=7"      # the request line, and the fields and the body in full:
    fields    = { Prefer = "wait=20" }              #   "none": no such field
    forwarded_body = ".."
    answers   = [{ status = 200, headers = ["A: b"], body = "[]", is = "empty" }]   # or "news"; of an error "answered"
                                                    #   (below 500), "upstream_error"
    no_news   = { status = 200, headers = { Content-Type = ".." }, body = "[]" }    # or why none: "origin", "never",
                                                    #   "needs" (of a template some need does not hold)
    silent    = "overrun 200"                       # what a silent upstream comes to, so:
    drain     = "drained 200"                       # "drained 503", "drained closed", "held" (runs on)
    begun_silent = "truncated closed"               # the same when the upstream has begun to answer, and so begun_drain
    evicted   = "evicted 200"                       # or "held"
    told      = { status = 400, headers = {}, body = ".." }     # what the client is told at once
    lost      = "sent again"                        # or how it ends: "upstream_reset 502"
    key       = "192.0.2.7"                         # who counts as one poller
    second    = "held, held"                        # the first and the second of two equal polls
    after     = "superseded 409, held"              # the same, when the upstream then answers the first; loser says
    loser     = { status = 409, headers = {}, body = ".." }     # what the one was told that had to give way
    refusals  = { 401 = { status = 401, type = "..", body = "..", wait = "60" } }   # no token; so 403 (too small a
                                                    #   scope), 429 (too often), 503 (no room), 502 (the upstream broke
                                                    #   off), 504 (it said nothing); `wait` is Retry-After

What a case leaves out is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gateway.call import Call
from gateway.clock import NEVER
from tests.golden.policies.stage import Client, Said, Stage, request, staged, token

Case = Mapping[str, Any]
WINDOW = 0.5  # seconds of a drain: shorter than any hold
PARTS = frozenset({"name", "request", "headers", "body", "before", "route"})


def number(value: float | None) -> float | str:
    return "none" if value is None or value in (NEVER, -NEVER) else round(value, 6)


def asked(stage: Stage, case: Case) -> Client:
    """The client of a case, its request sent, after what came before."""
    for earlier in case.get("before", ()):
        client = stage.join(request(earlier))
        stage.says(client.call, earlier["answer"])
    return stage.join(request(case))


def played(policy: str, case: Case, read: Callable[[Stage, Client], object]) -> object:
    with staged(policy, case.get("route", "")) as stage:
        return read(stage, asked(stage, case))


def of_call(read: Callable[[Call], object]) -> Callable[[str, Case], object]:
    return lambda policy, case: played(policy, case, lambda stage, client: read(client.call))


def since(read: Callable[[Call], float]) -> Callable[[str, Case], object]:
    return of_call(lambda call: number(read(call) - call.started))


def sent(policy: str, case: Case) -> tuple[str, list[tuple[str, str]], str]:
    """Request line, fields and body as the upstream got them; empty when it got nothing."""
    raw = played(policy, case, lambda stage, client: stage.ordered(client.call))
    assert isinstance(raw, bytes)
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *fields = head.decode("utf-8", "surrogateescape").split("\r\n")
    pairs = (field.partition(": ") for field in fields)
    return line.removesuffix(" HTTP/1.1"), [(name, value) for name, _, value in pairs], body.decode()


def fields(policy: str, case: Case) -> object:
    found = sent(policy, case)[1]
    return {
        wanted: ", ".join(value for name, value in found if name.lower() == wanted.lower()) or "none"
        for wanted in case["fields"]
    }


def answers(policy: str, case: Case) -> object:
    """The verdict on each answer the upstream may give, put into what the case says of it."""

    def verdict(stage: Stage, client: Client, given: Mapping[str, Any]) -> str:
        stage.says(client.call, given)
        return client.call.outcome.value if client.call.outcome is not None else client.call.state.name.lower()

    return [
        {**given, "is": played(policy, case, lambda stage, client, given=given: verdict(stage, client, given))}
        for given in case["answers"]
    ]


def said(answer: Said | None, wanted: Mapping[str, Any]) -> object:
    """An answer as far as the case describes it."""
    if answer is None:
        return "closed"
    found: dict[str, object] = {"status": answer.status, "body": answer.body}
    if "headers" in wanted:
        found["headers"] = {name: answer.headers.get(name.lower(), "none") for name in wanted["headers"]}
    return {key: found[key] for key in wanted if key in found}


def no_news(policy: str, case: Case) -> object:
    def read(stage: Stage, client: Client) -> object:
        call = client.call
        assert call.hold is not None, "an ordinary call has no such answer"
        if call.blank is None:
            return "needs" if call.hold.answer == "template" else call.hold.answer
        stage.drain_all(WINDOW)
        stage.runs_out(call)
        return said(client.answer, case["no_news"]) if isinstance(case["no_news"], dict) else client.fate

    return played(policy, case, read)


def begun(read: Callable[[Stage, Client], object]) -> Callable[[str, Case], object]:
    """What comes of a poll to which the upstream has begun to answer, without news."""

    def play(stage: Stage, client: Client) -> object:
        stage.begins(client.call)
        return read(stage, client)

    return lambda policy, case: played(policy, case, play)


def silent(stage: Stage, client: Client) -> object:
    stage.runs_out(client.call)
    return client.fate


def drain(stage: Stage, client: Client) -> object:
    stage.drain_all(WINDOW)
    stage.runs_out(client.call)
    return client.fate


def evicted(stage: Stage, client: Client) -> object:
    stage.serve.on_evict(client.call)
    return client.fate


def lost(stage: Stage, client: Client) -> object:
    before = client.call.attempts
    stage.breaks(client.call)
    return "sent again" if client.call.attempts > before else client.fate


def told(policy: str, case: Case) -> object:
    return played(policy, case, lambda stage, client: said(client.answer, case["told"]))


def key(stage: Stage, client: Client) -> object:
    return client.call.key if client.call.key is not None else client.call.poller


def both(stage: Stage, client: Client, case: Case) -> tuple[Client, Client]:
    two = client, stage.join(request(case))
    stage.turn()
    return two


def second(policy: str, case: Case) -> object:
    return played(policy, case, lambda stage, client: ", ".join(one.fate for one in both(stage, client, case)))


def after(policy: str, case: Case) -> object:
    def read(stage: Stage, client: Client) -> str:
        two = both(stage, client, case)
        stage.says(client.call, {"status": 200, "body": ""})
        stage.turn()
        return ", ".join(one.fate for one in two)

    return played(policy, case, read)


def loser(policy: str, case: Case) -> object:
    def read(stage: Stage, client: Client) -> object:
        told = [one.answer for one in both(stage, client, case) if one.answer is not None]
        return said(told[0], case["loser"]) if told else "nobody gave way"

    return played(policy, case, read)


def refusals(policy: str, case: Case) -> object:
    return {status: refused(policy, case, status, wanted) for status, wanted in case["refusals"].items()}


def refused(policy: str, case: Case, status: str, wanted: Mapping[str, Any]) -> dict[str, object]:
    """What a client is told who is turned away with that status, as far as the case describes it."""
    with staged(policy, case.get("route", ""), signed=status in SIGNED) as stage:
        answer = TURNED_AWAY[status](stage, case, policy).answer
    assert answer is not None
    found = {
        "status": answer.status,
        "type": answer.headers.get("content-type", "none"),
        "wait": answer.headers.get("retry-after", "none"),
        "body": answer.body,
    }
    return {key: found[key] for key in wanted}


def too_often(stage: Stage, case: Case, policy: str) -> Client:
    field = f"Authorization: Bearer {token(policy, 'poll')}"
    stage.join(request(case, field))
    return stage.join(request(case, field))


def no_room(stage: Stage, case: Case, policy: str) -> Client:
    stage.serve.sheds_hold = lambda: True
    return stage.join(request(case))


def broken(stage: Stage, case: Case, policy: str) -> Client:
    client = stage.join(request(case))
    while client.call.outcome is None:
        stage.breaks(client.call)
    return client


def too_late(stage: Stage, case: Case, policy: str) -> Client:
    client = stage.join(request(case))
    stage.runs_out(client.call)
    return client


SIGNED = ("401", "403", "429")
TURNED_AWAY: dict[str, Callable[[Stage, Case, str], Client]] = {
    "401": lambda stage, case, policy: stage.join(request(case)),
    "403": lambda stage, case, policy: stage.join(request(case, f"Authorization: Bearer {token(policy, 'other')}")),
    "429": too_often,
    "503": no_room,
    "502": broken,
    "504": too_late,
}
ASPECTS: dict[str, Callable[[str, Case], object]] = {
    "poll": of_call(lambda call: call.hold is not None),
    "note": of_call(lambda call: call.note or "none"),
    "asked": of_call(lambda call: number(call.asked)),
    "granted": of_call(lambda call: number(call.granted)),
    "clamped_by": of_call(lambda call: call.clamped_by or "none"),
    "deadline": since(lambda call: call.deadline),
    "due": since(lambda call: call.upstream_due),
    "cursor": of_call(lambda call: call.cursor if call.cursor is not None else "none"),
    "forwarded": lambda policy, case: sent(policy, case)[0] or "none",
    "fields": fields,
    "forwarded_body": lambda policy, case: sent(policy, case)[2],
    "answers": answers,
    "no_news": no_news,
    "silent": lambda policy, case: played(policy, case, silent),
    "begun_silent": begun(silent),
    "begun_drain": begun(drain),
    "drain": lambda policy, case: played(policy, case, drain),
    "evicted": lambda policy, case: played(policy, case, evicted),
    "lost": lambda policy, case: played(policy, case, lost),
    "key": lambda policy, case: played(policy, case, key),
    "second": second,
    "after": after,
    "loser": loser,
    "told": told,
    "refusals": refusals,
}

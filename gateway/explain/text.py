"""An explanation as plain text in sections, readable at 100 columns. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gateway.explain.clocks import DUE
from gateway.explain.layout import WIDTH as WIDTH
from gateway.explain.layout import rows
from gateway.explain.model import (
    ClientStory,
    ClockStory,
    Explanation,
    LimitStory,
    OwnWords,
    RouteStory,
    Setting,
    StepStory,
)
from gateway.explain.text_hold import hold_lines
from gateway.explain.words import seconds

_USUAL = frozenset({"Content-Type", "Content-Length", "Cache-Control"})  # of every refusal

_FRAMING = frozenset({"Content-Length", "Cache-Control", "Server"})
_BODY = 2000  # characters of a body that are printed


def render(story: Explanation) -> str:
    """The whole text, without a line end."""
    sections = [
        ("", [f"{story.method} {story.target}", f"to {story.host} from {story.peer}"]),
        ("Result", list(rows(_result(story)))),
        ("Client", list(rows(_client(story.client))) if story.client is not None else []),
        ("Route", list(rows(_route(story.route))) if story.route is not None else []),
        ("Admission", list(rows(_admission(story)))),
        ("Hold", list(hold_lines(story.hold)) if story.hold is not None else []),
        ("What its dialect says", list(rows(((rule.name, rule.says) for rule in story.rules), 16))),
        ("Refusals in the dialect's own words", list(_refusals(story.refusals))),
        ("Limits, in the order in which they are asked", list(_limits(story))),
        ("Forwarded request", list(_forwarded(story))),
        ("Clocks, counted from the request's arrival", list(_clocks(story))),
        ("What may happen", list(rows(((event.name, event.then) for event in story.events), 26))),
        ("Settings", list(_settings(story.settings))),
    ]
    return "\n\n".join("\n".join((*([title] if title else []), *lines)) for title, lines in sections if lines)


def _result(story: Explanation) -> Iterator[tuple[str, str]]:
    verdict, hold = story.verdict, story.hold
    answer = verdict.answer
    if verdict.result == "held" and hold is not None and hold.deadline is not None:
        end = f"ended by us after {seconds(hold.deadline)} at the latest"
        yield "held", f"{seconds(hold.granted or 0.0)} granted, {end}"
    elif verdict.result == "forwarded":
        yield "forwarded", "as an ordinary call"
    elif answer is not None:
        yield verdict.result, f"{answer.status} {answer.reason}; recorded as {verdict.outcome}"
        if verdict.slug is not None:
            yield "why", f"{verdict.slug}: {verdict.detail}"
        if verdict.hint is not None:
            yield "", verdict.hint
        usual = _USUAL if verdict.slug is not None else _FRAMING if verdict.result == "refused" else frozenset()
        yield from (("", f"{name}: {value}") for name, value in answer.headers if name not in usual)
        if answer.body and verdict.slug is None:
            yield "body", answer.body
    if story.as_if_admitted:
        yield "", "What follows is shown as if the call had been admitted."


def _client(client: ClientStory) -> Iterator[tuple[str, str]]:
    yield "address", f"{client.address}, over {client.scheme}"
    yield "", client.why
    if client.announced:
        yield "", "--from is taken as whom the PROXY header names, which server.trusted_proxies send"
    if client.certificate is not None:
        need = (
            "it must show a certificate that" if client.certificate == "require" else "it may show a certificate, which"
        )
        yield "", f"{need} server.tls.client_ca vouches for"


def _route(route: RouteStory) -> Iterator[tuple[str, str]]:
    yield "name", f"{route.name} ({route.file})"
    yield "match", f"{','.join(route.methods) or '*'} {route.host or '*'}{route.path}"
    if route.rewrite is not None:
        yield "rewrite", route.rewrite
    yield "upstream", f"{route.upstream}: {', '.join(route.endpoints)} ({route.balance})"
    if route.names:
        yield "", f"{', '.join(route.names)}: looked up every {seconds(route.dns_refresh)}, each address is an endpoint"
    yield from (("", sentence) for sentence in route.watched)
    label = "policies"
    for policy in route.policies:
        yield label, f"{policy.name} ({policy.file}): {', '.join(policy.kinds)}"
        label = ""
    if route.own_kinds:
        yield label, f"and the route's own: {', '.join(route.own_kinds)}"


def _admission(story: Explanation) -> Iterator[tuple[str, str]]:
    for step in story.admission:
        yield step.kind, _step(step)
    caller = story.caller
    if caller is None:
        return
    tenant = f", tenant {caller.tenant}" if caller.tenant is not None else ""
    yield "caller", f"consumer {caller.consumer}{tenant}, by provider {caller.provider}"
    if caller.scopes:
        yield "scopes", " ".join(caller.scopes)
    if caller.ends_in is not None:
        yield "token", f"counts for another {seconds(caller.ends_in)}, leeway included"


def _step(step: StepStory) -> str:
    if step.waits:
        return "would wait for something that is not fetched here"
    return "admits" if step.status is None else f"refuses: {step.status} {step.slug}, {step.detail}"


def _limits(story: Explanation) -> Iterator[str]:
    for limit in story.limits:
        counts = f"counts under {limit.key}{_instead(limit)}: {_count(limit)}" if limit.unmet is None else None
        what = f"{limit.allows} per {limit.per} [{limit.origin}]"
        yield from rows([(limit.kind, f'"{limit.name}": {what}'), ("", limit.excess)], 18)
        yield from rows([("", counts or f"not asked here: it {limit.unmet}")], 18)
    if story.counts_from is not None and any(limit.unmet is None for limit in story.limits):
        yield from rows([("counts", story.counts_from)], 18)


def _instead(limit: LimitStory) -> str:
    return f", for want of a {limit.per}" if limit.stands_in else ""


def _count(limit: LimitStory) -> str:
    count = limit.count
    if count is None:
        return "unknown"
    if not count.known:
        return "unknown, for the running gateway has no such limit; reload it"
    waiting = f", {count.waiting} in line" if count.waiting else ""
    if count.held is not None:
        full = ", so one more is one too many" if count.held >= (count.max or 0) else ""
        return f"{count.held} of {count.max} held{full}{waiting}"
    more = f", one more in {count.reset} s" if count.reset else ""
    return f"{count.left} left{more}{waiting}"


def _forwarded(story: Explanation) -> Iterator[str]:
    sent = story.forwarded
    if sent is None:
        return
    yield f"  to {sent.endpoint}{sent.chosen}"
    yield from (f"  | {line}" for line in sent.lines)
    if sent.body_bytes:
        yield f"  | and a body of {sent.body_bytes} bytes"
    if sent.body:
        yield from (f"  | {line}" for line in _cut(sent.body))


def _cut(body: str) -> Iterator[str]:
    """The beginning of a body, in lines that fit."""
    for line in body[:_BODY].split("\n"):
        yield from textwrap.wrap(line, WIDTH - 4, break_on_hyphens=False, drop_whitespace=False)
    if len(body) > _BODY:
        yield f".. and {len(body) - _BODY} characters more"


def _refusals(refusals: tuple[OwnWords, ...]) -> Iterator[str]:
    for each in refusals:
        shown = [f"{name}: {value}" for name, value in each.answer.headers if name not in _FRAMING]
        yield from rows([(str(each.status), f"{each.answer.status} {', '.join(shown)}")], 8)
        if each.own and each.answer.body:
            yield from rows([("", each.answer.body)], 8)


def _clocks(story: Explanation) -> Iterator[str]:
    race = story.race
    if race is None:
        return
    for clock in sorted(story.clocks, key=_place):
        at = seconds(clock.seconds) if clock.seconds is not None else "-"
        yield from rows([(f"{at:>10}  {clock.name}", f"{clock.then} [{_short(clock.origin)}]")], 32)
    silent = f"if the upstream stays silent, {race.first} after {seconds(race.seconds)}: {race.then}"
    yield from rows([("first", silent)])
    if race.warning is not None:
        yield from rows([("warning", race.warning)])
    if race.largest_hold is not None:
        said = f"the largest hold that ends before {race.because} is {seconds(race.largest_hold)}"
        yield from rows([("safe", said if race.largest_hold > 0 else f"no hold ends before {race.because}")])


def _short(origin: str) -> str:
    """Who wrote a value, without the file: the settings name it."""
    return origin.partition(" (")[0]


def _place(clock: ClockStory) -> tuple[bool, float]:
    """Those that run during the silence come first, in the order in which they end."""
    runs = clock.races or clock.name == DUE
    return not runs, (clock.seconds or 0.0) if runs else 0.0


def _settings(settings: tuple[Setting, ...]) -> Iterator[str]:
    origins = dict.fromkeys(setting.origin for setting in settings)
    for origin in origins:
        yield f"  from {origin}"
        yield from rows(((f"  {each.key}", each.value) for each in settings if each.origin == origin), 30)

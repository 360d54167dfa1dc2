"""Rate limits and caps: what each cannot do without, and what the hold of the route forbids."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.durations import YEAR
from gateway.config.merge import LimitName, Merged
from gateway.config.problems import Problem
from gateway.config.schema import ConcurrencyCap, HoldCap, RateLimit
from gateway.holds.replay import REPLAY
from gateway.policies.keys import BEFORE_IDENTITY

MOST = 1_000_000  # calls a second


def check_limits(view: View) -> Findings:
    """Limits without a number, evictions that would lose news, keys that nobody can have."""
    for merged in view.merged:
        for name, rate in merged.rate_limits:
            if rate.rate is None:
                yield _at(view, name, 'has no rate; write rate = "60/min"')
            elif not rate.rate[1] / YEAR <= rate.rate[0] <= rate.rate[1] * MOST:
                yield _at(view, name, 'limits nothing that happens; write a rate from "1000000/s" down to one a year')
            if rate.when_claims and rate.per in BEFORE_IDENTITY and rate.mode == "reject":
                text = f'per "{rate.per}" is asked before anybody is known; write per = "consumer", or no when_claims'
                yield _at(view, name, text)
            yield from _nobody(view, merged, name, rate)
            yield from _delay(view, merged, name, rate)
        for name, cap in merged.hold_caps:
            yield from _cap(view, merged, name, cap)
            yield from _eviction(view, merged, name, cap)
        for name, call_cap in merged.concurrency_caps:
            yield from _cap(view, merged, name, call_cap)


def _at(view: View, name: LimitName, text: str) -> Problem:
    return view.at(name.table, name.name, f"{name.kind}[{name.number}]", text)


def _cap(view: View, merged: Merged, name: LimitName, cap: HoldCap | ConcurrencyCap) -> Findings:
    if cap.max is None:
        yield _at(view, name, "has no number; write max = 3")
    if cap.max_waiting is not None and cap.on_excess != "wait":
        yield _at(view, name, 'lets nobody wait; write on_excess = "wait", or no max_waiting')
    if cap.on_excess == "wait" and isinstance(cap, HoldCap):
        yield from _patience(view, merged, name)
    yield from _nobody(view, merged, name, cap)


def _nobody(view: View, merged: Merged, name: LimitName, limit: RateLimit | HoldCap | ConcurrencyCap) -> Findings:
    if merged.jwt is None and limit.when_claims:
        yield _at(view, name, f'is for nobody on route "{merged.route.name}"; add a policy with jwt, or no when_claims')
    elif merged.jwt is None and limit.per.startswith("header:"):
        if not any(rate.per in BEFORE_IDENTITY for _, rate in merged.rate_limits):
            text = (
                'counts by what callers write, and who writes something else starts afresh; add a limit per "address"'
            )
            yield Notice(_at(view, name, text))
    elif merged.jwt is None and limit.per not in BEFORE_IDENTITY:
        text = 'counts by address, for nobody is identified; add a policy with jwt, or write per = "address"'
        yield Notice(_at(view, name, text))


def _delay(view: View, merged: Merged, name: LimitName, rate: RateLimit) -> Findings:
    """Only a poll has time of its own to wait in."""
    if rate.mode == "reject":
        return
    if merged.hold is None:
        text = f'refuses as "reject" does on route "{merged.route.name}", which has no polls; add a policy with hold'
        unused = _at(view, name, text)
        yield unused if name.table == "route" else Notice(unused)
    else:
        yield from _patience(view, merged, name)


def _patience(view: View, merged: Merged, name: LimitName) -> Findings:
    """A poll that waits here is held for less by the upstream, which must know, or we must speak for it."""
    hold = merged.hold
    if hold is not None and not (hold.rewrite and hold.ask) and hold.empty.answer != "template":
        text = (
            f'polls of "{merged.dialect}" cannot be told to hold for less, so they wait only for their margin, '
            f'{hold.margin:g}s; write a longer margin, or "reject"'
        )
        yield Notice(_at(view, name, text))


def _eviction(view: View, merged: Merged, name: LimitName, cap: HoldCap) -> Findings:
    """Ending a poll early is safe only where we may say "no news" and the client can ask again without loss."""
    hold = merged.hold
    if hold is None and merged.websocket is not None:
        return  # it counts tunnels, any of which can be told that it has to go
    if hold is None:
        text = f'counts nothing on route "{merged.route.name}"; add a policy with hold if it has polls'
        unused = _at(view, name, text)
        yield unused if name.table == "route" else Notice(unused)  # a policy may be for routes of both kinds
    elif cap.on_excess == "evict-oldest" and (hold.empty.answer != "template" or not REPLAY[hold.replay].early):
        yield _at(view, name, f'evicts polls of "{merged.dialect}", which may lose news; write on_excess = "reject"')
    elif cap.on_excess == "evict-oldest" and hold.early_headers:
        text = (
            f'hardly ever evicts polls of "{merged.dialect}", whose answers begin at once: then nothing can be said '
            'any more; write on_excess = "reject", or "wait"'
        )
        yield Notice(_at(view, name, text))

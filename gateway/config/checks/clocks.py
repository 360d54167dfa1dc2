"""The clocks of a hold against each other and against everyone who might cut it short: the client, the edge in front,
the end of the process. Every finding names the numbers and what to change.
"""

from __future__ import annotations

import math

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Hold, Server


def say(seconds: float) -> str:
    """Always in seconds, so that the numbers of a sum can be compared by eye."""
    return f"{seconds:g}s"


def check_clocks(view: View) -> Findings:
    """The server's own clocks, then the hold of every route."""
    server = view.config.server
    if server.drain >= server.stop_grace:
        text = (
            f"{say(server.drain)} is not shorter than stop_grace, {say(server.stop_grace)}: polls would be cut "
            "by the kill; write a shorter drain, or a longer stop_grace"
        )
        yield view.main("server.drain", text)
    if server.front is not None and server.keepalive_timeout <= server.front.idle_timeout:
        text = (
            f"{say(server.keepalive_timeout)} is not longer than front.idle_timeout, {say(server.front.idle_timeout)}: "
            f"{server.front.name} may use a connection in the instant it is closed; write a longer keepalive_timeout"
        )
        yield Notice(view.main("server.keepalive_timeout", text))
    for merged in view.merged:
        if merged.hold is not None:
            yield from _numbers(view, merged, merged.hold)
            yield from _wishes(view, merged, merged.hold)
            yield from _ends(view, merged, merged.hold, server)


def longest(hold: Hold) -> float:
    """The longest hold in seconds that this dialect grants; infinity when a poll may be held for ever."""
    absent = hold.absent
    if absent is not None and math.isfinite(absent):
        absent = min(max(absent, hold.min), hold.max)
    return max(absent or 0.0, hold.max if hold.ask else 0.0)


def _numbers(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.min > hold.max:
        text = f"{say(hold.min)} is longer than max, {say(hold.max)}; write a shorter min, or a longer max"
        yield view.of(merged, "hold.min", text)
    elif hold.absent is not None and math.isfinite(hold.absent) and not hold.min <= hold.absent <= hold.max:
        bounds = f"min, {say(hold.min)}, to max, {say(hold.max)}"
        yield view.of(merged, "hold.absent", f"{say(hold.absent)} is not within {bounds}; change one of them")
    if hold.margin <= 0 and hold.empty.answer == "template":
        text = 'is nothing, so the template would race the upstream\'s own answer; write margin = "5s"'
        yield view.of(merged, "hold.margin", text)
    if hold.jitter.early >= hold.max > 0:
        text = f"{say(hold.jitter.early)} takes off more than max, {say(hold.max)}; write a shorter early"
        yield view.of(merged, "hold.jitter.early", text)


def _wishes(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.absent is None and not hold.ask:
        text = 'nothing would ever be held; write absent = "25s", or ask = [{ in = "query", name = "timeout" }]'
        yield view.of(merged, "hold.absent", text)
    if hold.rewrite and not hold.ask:
        text = "there is no wish to rewrite; write rewrite = false, or say in ask where it stands"
        yield view.of(merged, "hold.rewrite", text)
    if hold.ask and hold.over_max == "clamp" and not hold.rewrite and hold.empty.answer != "template":
        text = (
            f"a poll that asks for more than max, {say(hold.max)}, would end in a 504, for the upstream is not "
            'told; write rewrite = true, or over_max = "reject"'
        )
        yield Notice(view.of(merged, "hold.over_max", text))


def _ends(view: View, merged: Merged, hold: Hold, server: Server) -> Findings:
    held = longest(hold)
    jitter = (hold.jitter.ratio * held if math.isfinite(held) else 0.0) + hold.jitter.span
    # The template is sent at the deadline; the upstream's own answer comes at the latest before the margin is used.
    least = held + jitter + (0.0 if hold.empty.answer == "template" else hold.margin)
    if hold.client_timeout is not None and hold.client_timeout <= least:
        yield view.of(merged, "hold.client_timeout", _too_long(hold, held, jitter, "clients wait", hold.client_timeout))
    whole = held + jitter + hold.margin
    if hold.client_timeout is not None and least < hold.client_timeout <= whole:
        text = (
            f"clients wait {say(hold.client_timeout)}, but of a silent upstream they are told after {say(whole)} "
            f"({say(held)} + jitter {say(jitter)} + margin {say(hold.margin)}): they will have left; write a smaller "
            "max or margin, or a longer client_timeout"
        )
        yield Notice(view.of(merged, "hold.client_timeout", text))
    if server.front is not None and whole >= server.front.idle_timeout:
        who = f"{server.front.name} waits"
        if math.isfinite(whole) or hold.empty.answer != "template":
            yield view.of(merged, "hold.max", _too_long(hold, held, jitter, who, server.front.idle_timeout))
    if hold.empty.answer != "template" and whole > server.drain:
        text = (
            f"a poll may last {say(whole)} and may not be ended early, but drain is {say(server.drain)}: some are "
            "cut at shutdown; write a longer server.drain and stop_grace, if that matters"
        )
        yield Notice(view.of(merged, "hold.max", text))


def _too_long(hold: Hold, held: float, jitter: float, who: str, limit: float) -> str:
    if not math.isfinite(held):
        return f'a poll may be held for ever but {who} only {say(limit)}; write absent = "25s", or another duration'
    parts = f"{say(held)} + jitter {say(jitter)} + margin {say(hold.margin)} = {say(held + jitter + hold.margin)}"
    room = (limit - hold.margin - hold.jitter.span) / (1 + hold.jitter.ratio)
    best = f"a max below {say(math.floor(room))}" if room >= 2 else "a smaller margin"
    return f"a poll may last {parts} but {who} only {say(limit)}; write {best}, or a longer timeout there"

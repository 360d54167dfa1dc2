"""The clocks of the process itself: its end against whoever kills it, and what it keeps and answers against the edge in
front of it.
"""

from __future__ import annotations

from gateway.config import fronts
from gateway.config.checks.clocks import say
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.clocks import front_name
from gateway.config.durations import format_duration
from gateway.config.merge import Merged
from gateway.config.schema import Front, Server

_LATER = 5.0  # seconds by which our end of a kept connection outlasts the edge's


def check_process(view: View) -> Findings:
    """The drain, kept connections, and ordinary calls that the edge in front would answer."""
    server = view.config.server
    yield from _kill(view, server)
    if server.front is not None:
        yield from _kept(view, server, server.front)
        for merged in view.merged:
            yield from _ordinary(view, merged, server.front)


def _kill(view: View, server: Server) -> Findings:
    if server.shutdown_delay + server.drain < server.stop_grace:
        return
    if server.drain >= server.stop_grace:
        what = f"{say(server.drain)} is not shorter than stop_grace, {say(server.stop_grace)}"
    else:
        what = (
            f"{say(server.drain)} after shutdown_delay, {say(server.shutdown_delay)}, is not shorter than stop_grace, "
            f"{say(server.stop_grace)}"
        )
    yield view.main(
        "server.drain", f"{what}: polls would be cut by the kill; write a shorter drain, or a longer stop_grace"
    )


def _kept(view: View, server: Server, front: Front) -> Findings:
    kept = fronts.keeps(front.name, front.idle_timeout)
    if kept is not None and server.keepalive_timeout <= kept:
        text = (
            f"{say(server.keepalive_timeout)} is not longer than {front_name(server)} keeps an idle connection, "
            f"{say(kept)}: it may use one in the instant it is closed; "
            f'write keepalive_timeout = "{format_duration(kept + _LATER)}"'
        )
        yield Notice(view.main("server.keepalive_timeout", text))


def _ordinary(view: View, merged: Merged, front: Front) -> Findings:
    """A call that is no poll, and whose upstream is slow: who tells the client?"""
    hold = merged.hold
    if hold is not None and not hold.when and hold.absent is not None:
        return
    queues = any(cap.on_excess == "wait" for _, cap in merged.concurrency_caps)
    longest = merged.response_timeout * (2 if queues else 1)
    if longest < front.idle_timeout:
        return
    told = " and, before it, as long in line for a concurrency_cap" if queues else ""
    text = (
        f"an ordinary call may take {say(merged.response_timeout)}{told}, but {front_name(view.config.server)} waits "
        f"only {say(front.idle_timeout)}: of a slow upstream clients hear from it and not from us; write a shorter "
        "response_timeout"
    )
    table, name = merged.writers.get("response_timeout", ("default", ""))
    if table != "route":
        table, name = "upstream", merged.route.upstream
    yield Notice(view.at(table, name, "response_timeout", text))

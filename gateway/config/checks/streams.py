"""The clocks of streams of events against each other, and against the edge in front, which counts silence too."""

from __future__ import annotations

from gateway.config.checks.clocks import say
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.clocks import front_name
from gateway.config.merge import Merged
from gateway.config.schema import Sse


def check_streams(view: View) -> Findings:
    """The `sse` table of every route."""
    for merged in view.merged:
        if merged.sse is not None:
            yield from _silence(view, merged, merged.sse)
            yield from _front(view, merged, merged.sse)


def _silence(view: View, merged: Merged, sse: Sse) -> Findings:
    idle = sse.idle_timeout if sse.idle_timeout is not None else merged.body_idle_timeout
    if sse.heartbeat is not None and sse.heartbeat >= idle:
        key = "idle_timeout" if sse.idle_timeout is not None else "body_idle_timeout"
        text = f"would never be sent, for after {say(idle)} of silence the stream is cut ({key}); write a shorter one"
        yield view.of(merged, "sse.heartbeat", f'{text}, or a longer idle_timeout, such as "5m"')


def _front(view: View, merged: Merged, sse: Sse) -> Findings:
    front = view.config.server.front
    if front is None:
        return
    gives_up = f"{front_name(view.config.server)} gives up after {say(front.idle_timeout)} of silence"
    if sse.heartbeat is None:
        text = f'is not written, and {gives_up}; write heartbeat = "15s", unless the service sends its own'
        yield Notice(view.of(merged, "sse.heartbeat", text))
    elif sse.heartbeat >= front.idle_timeout:
        yield view.of(merged, "sse.heartbeat", f"comes too late: {gives_up}; write a shorter one")

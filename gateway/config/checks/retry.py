"""What is sent again: only what failed, only what may be done twice, and only where it can be."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Retry
from gateway.holds.replay import REPLAY

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})  # RFC 9110 9.2.2


def check_retry(view: View) -> Findings:
    """The `retry` of every route."""
    for merged in view.merged:
        if merged.retry is not None:
            yield from _retry(view, merged, merged.retry)
            yield from _polls(view, merged)


def _retry(view: View, merged: Merged, retry: Retry) -> Findings:
    for status in retry.status:
        if status < 400:
            yield view.of(merged, "retry.status", f"{status} is no failure; write statuses from 400 on, such as 503")
    if retry.attempts == 1 and retry.status:
        yield view.of(merged, "retry.attempts", "1 sends nothing again; write 2, or remove status")
    for method in retry.methods:
        if method not in IDEMPOTENT:
            text = (
                f"{method} may be done twice when the service saw it and its answer was lost; "
                f"remove it unless the service knows a request again"
            )
            yield Notice(view.of(merged, "retry.methods", text))
    if retry.backoff / 2 >= merged.response_timeout:
        text = f"leaves nothing of response_timeout, {merged.response_timeout:g}s; write a shorter pause"
        yield view.of(merged, "retry.backoff", text)


def _polls(view: View, merged: Merged) -> Findings:
    """Where a poll takes away what it is told, an ordinary call may too. "never" also stands there if nobody wrote
    anything."""
    hold = merged.hold
    if hold is None or REPLAY[hold.replay].again:
        return
    text = (
        f'means nothing here, for replay = "{hold.replay}" says that what a lost answer carried may be gone; '
        f'remove retry, or write "cursor" or "until-ack" for replay if nothing is lost'
    )
    found = view.of(merged, "retry", text)
    yield Notice(found) if hold.replay == "never" else found

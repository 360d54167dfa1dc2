"""What the replay class of a dialect forbids its other keys, and what a rule for a second poll cannot do without."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Hold
from gateway.holds.replay import EARLY, REPLAY

_LIKE = {"newest-wins": "evict-oldest", "oldest-wins": "reject", "session-fatal": "wait"}  # what a cap of 1 does so
CLASSES = ", ".join(f'"{name}"' for name in EARLY)


def check_replay(view: View) -> Findings:
    """The hold of every route."""
    for merged in view.merged:
        if merged.hold is not None:
            if not REPLAY[merged.hold.replay].early:
                yield from _early(view, merged, merged.hold)
            yield from _repoll(view, merged, merged.hold)
            if view.config.server.workers != 1:
                yield from _apart(view, merged, merged.hold)


def _early(view: View, merged: Merged, hold: Hold) -> Findings:
    """What an answer of ours may lose. "never" is also what stands there if nobody wrote anything."""
    if hold.empty.answer == "template":
        text = (
            f'is given by the gateway, but replay = "{hold.replay}" says that what a lost answer carried is gone; '
            f'write answer = "origin", or one of {CLASSES} for replay if nothing is lost'
        )
        found = view.of(merged, "hold.empty.answer", text)
        yield Notice(found) if hold.replay == "never" else found
    if hold.concurrency == "newest-wins":
        text = (
            f'ends an older poll early, but replay = "{hold.replay}" says that what its answer carried would be gone; '
            f'write "oldest-wins" or "session-fatal", or one of {CLASSES} for replay'
        )
        yield view.of(merged, "hold.concurrency", text)


def _apart(view: View, merged: Merged, hold: Hold) -> Findings:
    """What several workers do not see of each other."""
    if hold.concurrency == "many":
        return
    rest = "if the service cannot bear that"
    if hold.key == "consumer":
        rest += f', or a hold_cap with max = 1 and on_excess = "{_LIKE[hold.concurrency]}", which holds for all of them'
    text = (
        f'"{hold.concurrency}" holds among the polls that one worker has: a second poll on another connection may come '
        f"to another worker, and is forwarded beside the first; write workers = 1 {rest}"
    )
    yield Notice(view.of(merged, "hold.concurrency", text))


def _repoll(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.min_repoll >= hold.max > 0:
        text = f"{hold.min_repoll:g}s leaves nothing of the longest hold, {hold.max:g}s; write a shorter time"
        yield view.of(merged, "hold.min_repoll", text)

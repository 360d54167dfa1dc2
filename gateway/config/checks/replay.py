"""What the replay class of a dialect forbids its other keys, and what a rule for a second poll cannot do without."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Hold
from gateway.holds.replay import EARLY, REPLAY

CLASSES = ", ".join(f'"{name}"' for name in EARLY)


def check_replay(view: View) -> Findings:
    """The hold of every route."""
    for merged in view.merged:
        if merged.hold is not None:
            if not REPLAY[merged.hold.replay].early:
                yield from _early(view, merged, merged.hold)
            yield from _repoll(view, merged, merged.hold)


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


def _repoll(view: View, merged: Merged, hold: Hold) -> Findings:
    if hold.min_repoll >= hold.max > 0:
        text = f"{hold.min_repoll:g}s leaves nothing of the longest hold, {hold.max:g}s; write a shorter time"
        yield view.of(merged, "hold.min_repoll", text)

"""The arithmetic of a hold (DESIGN.md section 4): how long it may last, what the upstream is asked for, and
when a healthy upstream must have answered. Belongs here: pure functions of numbers, with `now` handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway.clock import NEVER
from gateway.holds import units
from gateway.holds.plan import UNWRITABLE, HoldPlan

LONGEST: Final = units.LONGEST_HOLD
FRONT_MARGIN: Final = 1.0  # seconds by which a hold ends before the edge in front of us would give up
OVERRUNS_FORGIVEN: Final = 2  # in a row on one endpoint; the next is a strike
_SLACK: Final = 0.1  # of the margin: what admission may take before the wish is shortened for it
_SLACK_MOST: Final = 0.5  # seconds
_HAIR: Final = 1e-6  # seconds; what binary fractions lose


class Grant(NamedTuple):
    """The hold allowed. Instants are loop seconds.

    `hold`: seconds the upstream may hold. `deadline`: the instant at which we end it. `clamped_by`: "min",
    "max" or the cause of the limit that shortened it. `upstream_due`: the instant by which a healthy upstream
    has answered (NEVER if unknown): a deadline before it is a blank, after it an overrun. `rewrite`:
    `ask.write` is to be called at forward. `answer_now`: the cause that leaves too little to forward at all.
    """

    hold: float
    deadline: float
    clamped_by: str | None
    upstream_due: float
    rewrite: bool
    answer_now: str | None


def grant(
    now: float,
    asked: float | None,
    plan: HoldPlan,
    limits: Sequence[tuple[str, float]] = (),
    told: float | None = None,
) -> Grant:
    """What a poll that asked for `asked` seconds (None: the dialect's `absent`) gets.

    `limits` are (cause, instant): "token", "drain", "front". `told` is `Ask.told`, needed where the upstream
    may understand the wish differently from us.
    """
    wish = _wish(asked, plan)
    hold, clamped_by = _clamp(wish, plan)
    deadline = now + hold + plan.jitter.longest(hold) + plan.margin
    unchanged = wish if told is None else told
    due_at = due(plan, hold if plan.writable else max(unchanged, plan.min), now)
    limited_by = None
    for cause, instant in limits:
        if instant < deadline:
            deadline, limited_by = instant, cause
    if limited_by is None:
        return Grant(hold, deadline, clamped_by, due_at, plan.writable, None)
    hold = max(0.0, min(hold, _solve(plan, deadline - now)))
    if plan.writable:
        due_at = due(plan, hold, now)
    answer_now = limited_by if _too_little(plan, hold, deadline, due_at, limited_by) else None
    return Grant(hold, deadline, limited_by, due_at, plan.writable, answer_now)


def wait_left(plan: HoldPlan, hold: float, deadline: float, now: float) -> float | None:
    """Seconds to ask the upstream for when a poll granted `hold` is forwarded at `now`; None when it is too
    late to forward it. Never more than `hold`. Up to a tenth of the margin may pass unnoticed, so that a wish
    of 10 s is not forwarded as 9 because admission took a millisecond.
    """
    left = _solve(plan, deadline - now)
    spent = (hold - left) * (1 + plan.jitter.ratio)
    if spent <= max(min(_SLACK * plan.margin, _SLACK_MOST), _HAIR):
        return hold
    if not _can_shorten(plan):
        return hold if spent <= plan.margin else None
    return left if left >= _least(plan) else None


def as_written(plan: HoldPlan, wait: float) -> float:
    """What an upstream was told that was to hold for `wait` seconds: a wish is rounded down to its unit."""
    step = _step(plan)
    return int(wait / step + _HAIR) * step if step and wait >= step else wait


def last_start(plan: HoldPlan, hold: float, deadline: float) -> float:
    """The last instant at which a poll granted `hold` seconds until `deadline` can still be forwarded."""
    least = _least(plan) if _can_shorten(plan) else hold
    spare = plan.margin if _can_shorten(plan) else 0.0
    return deadline - spare - plan.jitter.span - least * (1 + plan.jitter.ratio)


def due(plan: HoldPlan, told: float, sent_at: float) -> float:
    """The instant by which an upstream that was told to hold `told` seconds must have answered; NEVER when it
    was told no end."""
    if told == NEVER:
        return NEVER
    return sent_at + told + plan.jitter.longest(told)


def overrun_answer(consecutive: int) -> bool:
    """Whether an overrun may still be answered with the template; `consecutive` counts the overruns in a row
    on the endpoint with no real answer between, this one included. False: it is a strike, and a 504.
    """
    return consecutive <= OVERRUNS_FORGIVEN


def _wish(asked: float | None, plan: HoldPlan) -> float:
    if asked is None or asked != asked:  # NaN
        asked = plan.absent
    return asked if asked is not None and asked > 0 else 0.0


def _clamp(wish: float, plan: HoldPlan) -> tuple[float, str | None]:
    top = wish if plan.over_max == "pass" and wish != NEVER else plan.max
    top = min(top, LONGEST)
    if wish > top:
        return top, "max"
    if wish < plan.min:
        return min(plan.min, plan.max, LONGEST), "min"
    return wish, None


def _solve(plan: HoldPlan, room: float) -> float:
    """The hold h with h + jitter(h) + margin = room."""
    return (room - plan.margin - plan.jitter.span) / (1 + plan.jitter.ratio)


def _can_shorten(plan: HoldPlan) -> bool:
    return plan.writable or plan.answer == "template"


def _least(plan: HoldPlan) -> float:
    """The shortest wait worth sending: the dialect's own floor, or the step its wish is written in."""
    return max(plan.min, _step(plan), 1e-3)


def _step(plan: HoldPlan) -> float:
    """What a wish that is written can be told apart by, at most; 0 where none can be written."""
    written = (units.SMALLEST[place.unit] for place in plan.ask if place.where not in UNWRITABLE)
    return max(written) if plan.writable else 0.0


def _too_little(plan: HoldPlan, hold: float, deadline: float, due_at: float, cause: str) -> bool:
    """Whether a limit leaves no hold worth having. An upstream that cannot be told, in a dialect where we may
    not speak for it, would be cut while it may be handing out news: better not to ask it at all. A front edge
    cuts every hold alike, so refusing those would refuse them all.
    """
    if _can_shorten(plan):
        return hold < _least(plan)
    return cause != "front" and deadline < due_at != NEVER

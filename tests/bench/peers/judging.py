"""What a run gave for a bar, as a whole and turn by turn: from figures that each proxy gave alone, or from wakes in
pairs.
"""

from __future__ import annotations

import statistics

from ..measure import Figures
from .bars import Bar
from .comparing import Comparison


def reached(bar: Bar, done: Comparison) -> float | None:
    """What the bar is about: the ratio of the medians, or of pairs the median of the turns; None: not measured."""
    if bar.paired:
        turns = by_turn(bar, done)
        return statistics.median(turns) if turns else None
    return bar.reached(done.figures("gateway"), done.figures(bar.peer))


def by_turn(bar: Bar, done: Comparison) -> list[float]:
    """The same of each turn: of those that took theirs one after the other, or the median over the wakes of a pair."""
    if bar.paired:
        runs = (_ratios(bar, pair.ours, pair.theirs) for pair in done.pairs.get(bar.peer, []))
        return [statistics.median(run) for run in runs if run]
    ours, theirs = (
        [turn for turn in done.turns.get(name, []) if bar.key in turn] for name in ("gateway", bar.peer or "gateway")
    )
    return _ratios(bar, ours, theirs)


def _ratios(bar: Bar, ours: list[Figures], theirs: list[Figures]) -> list[float]:
    """Of each two that have the same place, where both were measured."""
    ratios = (bar.reached(mine, other) for mine, other in zip(ours, theirs, strict=False))
    return [ratio for ratio in ratios if ratio is not None]

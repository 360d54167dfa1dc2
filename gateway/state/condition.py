"""How a store that others share is doing, for metrics, probes and the overview: whether it answers, since when, and
what became of the decisions that calls waited for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

Decided = Literal["asked", "alone", "refused", "open"]


@dataclass(slots=True)
class Condition:
    """`why` it does not answer is a sentence, empty while it does; `since` is in Unix seconds. `parts` live processes
    share each limit. Decisions: `asked` of the store, taken `alone` by this process, `refused` or let through (`open`)
    without one. `slow`: the store had not said within its time."""

    url: str
    since: float
    answers: bool = False
    why: str = ""
    parts: int = 1
    decisions: dict[Decided, int] = field(
        default_factory=lambda: dict.fromkeys(("asked", "alone", "refused", "open"), 0)
    )
    slow: int = 0
    reasserted: int = 0  # leases made known (again) to a store that did not have them
    errors: Counter[str] = field(default_factory=Counter)  # by kind

    def turn(self, answers: bool, wall: float, why: str = "") -> bool:
        """Whether that is news."""
        if answers is self.answers and why == self.why:
            return False
        if answers is not self.answers:
            self.since = wall
        self.answers, self.why = answers, why
        return True

    def words(self) -> str:
        """For who asks whether all is well; empty when it is."""
        return "" if self.answers else f"limits are not shared: {self.why or f'{self.url} has not been reached yet'}"

"""Outlier ejection, as arithmetic: what the end of a call says of the endpoint that had it, when strikes are too many,
how long it stays out then, and how many may be out at once. Pure: instants are handed in (loop seconds).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import floor
from typing import Final

from gateway.holds.budget import overrun_answer
from gateway.outcome import ENDINGS, Outcome, Sign

LONGEST_OUT: Final = 300.0  # seconds to which ejections one after the other grow, unless `for` itself is longer
_DIED: Final = frozenset({Outcome.UPSTREAM_RESET, Outcome.TRUNCATED})


@dataclass(frozen=True, slots=True)
class Ejection:
    """The `ejection` of an upstream. Times are seconds; `status` are answers that are strikes too."""

    strikes: int = 5
    within: float = 10.0
    lasts: float = 30.0
    max_share: float = 0.5
    status: frozenset[int] = frozenset()


def is_strike(rules: Ejection, outcome: Outcome, status: int, overruns: int) -> bool | None:
    """Whether this end of a call, or of an attempt, is a strike; False: the endpoint has answered; None: it says
    nothing. `overruns` counts the polls in a row that the endpoint left unanswered, this one included."""
    match ENDINGS[outcome].sign:
        case Sign.ANSWER:
            return status in rules.status
        case Sign.QUIET:
            return False
        case Sign.STRIKE:
            return True
        case Sign.OVERRUN:
            return None if overrun_answer(overruns) else True
    return None


def reason(outcome: Outcome, status: int) -> str:
    """The strike in a word or two, for whoever asks why."""
    return f"status {status}" if ENDINGS[outcome].sign is Sign.ANSWER else outcome.value


class Strikes:
    """The strikes of one endpoint in a row: an answer between wipes them out.

    They have to come within a time. In that time those instants do not count in which a call waited for the endpoint
    and in vain, or one that lets every call hang would need many callers to be found out.
    """

    __slots__ = ("_last", "_places")

    def __init__(self) -> None:
        self._places: deque[float] = deque()
        self._last = 0.0  # instant of the last one

    def __len__(self) -> int:
        return len(self._places)

    def clear(self) -> None:
        self._places.clear()

    def add(self, rules: Ejection, outcome: Outcome, now: float, since: float | None = None) -> bool:
        """One more; whether they are too many. `since` is when the call was given to the endpoint. What dies together
        was one blow: the end of a process takes all that it held with it, and that is one strike."""
        if self._places and outcome in _DIED and since is not None and since <= self._last:
            return False
        begun = now if since is None else since
        place = self._places[-1] + max(begun - self._last, 0.0) if self._places else 0.0
        self._last = now
        self._places.append(place)
        while place - self._places[0] > rules.within or len(self._places) > rules.strikes:
            self._places.popleft()
        return len(self._places) >= rules.strikes


def lasts(rules: Ejection, times: int) -> float:
    """How long the endpoint stays out that was ejected so many times in a row: twice as long each time."""
    return float(min(rules.lasts * 2 ** min(times - 1, 30), max(rules.lasts, LONGEST_OUT)))


def in_a_row(times: int, back_since: float | None, lasted: float, now: float) -> int:
    """The how-manieth ejection it is. One that was in for as long as it had been out begins anew."""
    return times + 1 if back_since is not None and now - back_since <= lasted else 1


def may_eject(rules: Ejection, out: int, members: int) -> bool:
    """Whether one more may be out: never more than `max_share` of them, and never the last."""
    return out + 1 <= min(floor(rules.max_share * members + 1e-9), members - 1)

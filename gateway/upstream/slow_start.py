"""`slow_start`: an endpoint that joins, or is back, takes its full share of the calls only after a while. Its caches
are cold, and with nothing to carry it would otherwise get everybody at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.clock import NEVER

if TYPE_CHECKING:
    from gateway.upstream.endpoint import Endpoint

STEPS: Final = 20  # a share grows in so many steps, from the first of them on


class SlowStart:
    """Writes `share` on endpoints. `seconds` 0: at once. When the next share grows is `due`."""

    __slots__ = ("_begun", "due", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.due = NEVER
        self._begun: dict[Endpoint, float] = {}

    def renew(self, before: tuple[Endpoint, ...], choice: tuple[Endpoint, ...]) -> None:
        """Others take calls than before. Where nobody did, nobody is slow: at the start of the process everyone is
        cold. The time of those that joined begins with the next call, which might be theirs."""
        joined = set(choice).difference(before) if before and self.seconds else ()
        begun = {each: since for each, since in self._begun.items() if each in choice and self.seconds}
        self._begun = begun | dict.fromkeys(joined, NEVER)
        self.due = 0.0 if self._begun else NEVER
        for each in choice:
            each.share = each.weight / STEPS if each in joined else each.share if each in begun else each.weight

    def grow(self, now: float) -> None:
        """The shares are those of now."""
        for each, since in list(self._begun.items()):
            since = self._begun[each] = min(since, now)
            steps = int((now - since) / self.seconds * STEPS) + 1
            each.share = each.weight * min(steps, STEPS) / STEPS
            if steps >= STEPS:
                del self._begun[each]
        self.due = now + self.seconds / STEPS if self._begun else NEVER

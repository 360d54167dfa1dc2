"""What workers have counted, kept by their supervisor: a total never goes back because a worker died and another one
began at zero under its number, or because one does not answer just now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Entry(NamedTuple, Generic[T]):
    """What a process told last."""

    who: str
    pid: int
    value: T


class Ledger(Generic[T]):
    """`remains` is what a process leaves behind when it ends: its totals, and nothing of what it was doing. `after`
    adds what came later under the same number."""

    def __init__(self, remains: Callable[[T], T], after: Callable[[T, T], T]) -> None:
        self._remains = remains
        self._after = after
        self._last: dict[int, Entry[T]] = {}  # by the number of the worker
        self._past: dict[int, T] = {}  # of processes that were told apart from the last one

    def tell(self, number: int, who: str, pid: int, value: T) -> None:
        """A worker told what it has counted since it began."""
        last = self._last.get(number)
        if last is not None and last.who != who:
            self._past[number] = self._with_past(number, self._remains(last.value))
        self._last[number] = Entry(who, pid, value)

    def parts(self, alive: Collection[int | None]) -> Iterator[T]:
        """What each worker comes to, by number; of one whose process (`alive`: pids) is no more only what is left."""
        for number in sorted(self._last):
            last = self._last[number]
            yield self._with_past(number, last.value if last.pid in alive else self._remains(last.value))

    def _with_past(self, number: int, value: T) -> T:
        past = self._past.get(number)
        return value if past is None else self._after(past, value)

"""Saying something to the operator at most once a second, however often it happens, and how often that was."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

EVERY = 1.0  # seconds

Topic = TypeVar("Topic", bound=Hashable)


class Sparing(Generic[Topic]):
    """`say(topic, times)` is called at once the first time, then with what came together in each second."""

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Callable[[Topic, int], None]) -> None:
        self._loop = loop
        self._say = say
        self._unsaid: Counter[Topic] = Counter()
        self._handle: asyncio.TimerHandle | None = None

    def __call__(self, topic: Topic) -> None:
        self._unsaid[topic] += 1
        if self._handle is None:
            self._tell()

    def _tell(self) -> None:
        """One topic a second: the one that came most often."""
        self._handle = None
        if self._unsaid:
            ((topic, times),) = self._unsaid.most_common(1)
            del self._unsaid[topic]
            self._handle = self._loop.call_later(EVERY, self._tell)
            self._say(topic, times)

"""The watchers of all upstreams: one each, which begin, go on and end with the configurations. Beside telling the call
log what happens to endpoints they tell the operator, spared: a hundred that go down together are not a hundred lines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from gateway.clock import Timers
from gateway.sparing import Sparing
from gateway.upstream.health import Watcher
from gateway.upstream.probes import Prober
from gateway.upstream.standing import HEALTH, Event

if TYPE_CHECKING:
    from gateway.upstream.balance import Upstream

Topic = tuple[str, str]  # an upstream, and what happens to its endpoints

logger = logging.getLogger("gateway")


class Wards:
    """`record` is told of every event."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timers: Timers, record: Callable[[Event], None]) -> None:
        self._timers = timers
        self._record = record
        self._prober = Prober(loop, timers.now)
        self._watchers: dict[str, Watcher] = {}
        self._last: dict[Topic, str] = {}  # the newest sentence of each
        self._told = Sparing[Topic](loop, self._tell)

    def renew(self, upstreams: Iterable[Upstream]) -> None:
        """These are watched from now on, as they are described now."""
        wanted = {each.name: each for each in upstreams}
        for name in self._watchers.keys() - wanted.keys():
            self._watchers.pop(name).end()
        for name, upstream in wanted.items():
            if name not in self._watchers:
                self._watchers[name] = Watcher(upstream, self._timers, self._say, self._prober.probe)
            self._watchers[name].renew()

    async def close(self) -> None:
        self.renew(())
        await self._prober.close()

    def _say(self, event: Event) -> None:
        self._record(event)
        self._note((event.upstream, event.kind), sentence(event))
        if event.kind != "restore" and not event.taking:
            words = f"upstream {event.upstream}: no endpoint is thought to be well, so calls go to all of them"
            self._note((event.upstream, "none"), words)

    def _note(self, topic: Topic, words: str) -> None:
        self._last[topic] = words
        self._told(topic)

    def _tell(self, topic: Topic, times: int) -> None:
        before = f" (and {times - 1} before it)" if times > 1 else ""
        logger.warning("%s%s", self._last.pop(topic), before)


def sentence(event: Event) -> str:
    """The event in the words of the process log."""
    where = f"upstream {event.upstream}: {event.endpoint}"
    left = f"{event.taking} of {event.members} take calls"
    if event.kind == "eject":
        again = f", the {event.times}. time in a row" if (event.times or 1) > 1 else ""
        return f"{where} is ejected for {event.lasts:g}s ({event.why}){again}; {left}"
    if event.kind == "probe":
        return f"{where} is taken out by its probes ({event.why}); {left}"
    why = "its probes keep it out no longer" if event.why == HEALTH else f"{event.why} is over"
    return f"{where} takes calls again ({why}); {left}"

"""Looking up the names of endpoints, apart from everything else: every look-up has a thread of its own, so that one
that hangs keeps nobody waiting, not even the end of the process. What was found last counts until something else is.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

logger = logging.getLogger("gateway")

Resolve = Callable[[str], Iterable[str]]  # every address of a name; blocks, raises OSError or UnicodeError
Place: TypeAlias = tuple[str, ...]  # an address, and one of the other family to try where nobody listens at the first

JITTER = 0.2  # of a pause, which is shorter by up to so much: gateways that began together do not ask together
RETRY = 1.0  # seconds to the first repetition of a look-up that failed; twice as many to the next, up to the refresh
PATIENCE = 5.0  # seconds after which a look-up without an answer is said to have failed; its answer counts all the same


def system(host: str) -> set[str]:
    """What the machine's own resolver says: its hosts file, its name servers."""
    return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}


def places(found: Iterable[str]) -> tuple[Place, ...]:
    """Where the endpoints of a name are: at every address of IPv4, else of IPv6, in an order that stays."""
    known = sorted({ipaddress.ip_address(each) for each in found}, key=lambda each: (each.version, int(each)))
    first = [str(each) for each in known if each.version == 4]
    others = [str(each) for each in known if each.version == 6]
    if not first or not others:
        return tuple((each,) for each in first or others)
    return tuple((each, others[index % len(others)]) for index, each in enumerate(first))


class Name:
    """A name, what is known of it, and how looking it up went. `refresh` is None while no endpoint has it."""

    __slots__ = (
        "failed", "failed_at", "failure", "found_at", "host", "left", "looked", "looking", "ok", "patience", "places",
        "refresh", "row", "timer",
    )  # fmt: skip

    def __init__(self, host: str) -> None:
        self.host = host
        self.places: tuple[Place, ...] = ()
        self.refresh: float | None = None
        self.found_at = self.failed_at = 0.0  # Unix seconds; 0: never
        self.failure: str | None = None  # of the last look-up, if it failed
        self.ok = self.failed = 0  # look-ups
        self.row = 0  # failed ones since the last that was answered
        self.looking = False
        self.left = False  # no endpoint has it any more: it goes when its look-up is over
        self.looked = asyncio.Event()  # the last look-up that was asked for is over
        self.timer: asyncio.TimerHandle | None = None  # to the next
        self.patience: asyncio.TimerHandle | None = None

    def pause(self) -> float:
        """Seconds to the next look-up."""
        assert self.refresh is not None
        whole = min(self.refresh, RETRY * 2 ** min(self.row - 1, 10)) if self.row else self.refresh
        return whole * (1 - JITTER * random.random())

    def rest(self) -> None:
        for handle in (self.timer, self.patience):
            if handle is not None:
                handle.cancel()
        self.timer = self.patience = None


class Names:
    """All of them. `changed` is told of one that has other addresses now; `wall` is Unix seconds."""

    def __init__(self, resolve: Resolve, wall: Callable[[], float], patience: float = PATIENCE) -> None:
        self.changed: Callable[[str], None] = lambda host: None
        self.known: dict[str, Name] = {}
        self._resolve = resolve
        self._wall = wall
        self._patience = patience
        self._closed = False

    def at(self, host: str) -> tuple[Place, ...]:
        name = self.known.get(host)
        return name.places if name is not None else ()

    async def ask(self, hosts: Iterable[str], within: float) -> None:
        """Looks up those whose addresses are not known or not kept fresh; returns when all is told that will be told
        `within` a time."""
        asked = [self.known.get(host) or self.known.setdefault(host, Name(host)) for host in hosts]
        asked = [name for name in asked if name.refresh is None or not name.places]
        for name in asked:
            name.left = False
            self._look(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                for name in asked:
                    await name.looked.wait()

    def follow(self, wanted: Mapping[str, float]) -> None:
        """From now on these are looked up, each again after so many seconds, and no others."""
        for host, name in list(self.known.items()):
            if host not in wanted and name.refresh is not None:
                name.refresh, name.left = None, True
                if not name.looking:  # there is never more than one look-up of a name
                    self._forget(name)
        for host, refresh in wanted.items():
            name = self.known.get(host) or self.known.setdefault(host, Name(host))
            was, name.refresh, name.left = name.refresh, refresh, False
            if not name.found_at and not name.failed_at:
                self._look(name)
            elif was != refresh and not name.looking:
                self._wait(name)

    def close(self) -> None:
        self._closed = True
        for name in self.known.values():
            name.rest()

    def _wait(self, name: Name) -> None:
        if name.timer is not None:
            name.timer.cancel()
        if name.refresh is not None and not self._closed:
            name.timer = asyncio.get_running_loop().call_later(name.pause(), self._look, name)

    def _look(self, name: Name) -> None:
        if name.looking or self._closed:
            return
        name.rest()
        name.looking = True
        name.looked.clear()
        loop = asyncio.get_running_loop()
        name.patience = loop.call_later(self._patience, self._late, name)
        try:
            threading.Thread(target=self._aside, args=(name, loop), name=f"look up {name.host}", daemon=True).start()
        except RuntimeError as error:  # no thread can be had
            self._answered(name, (), str(error))

    def _aside(self, name: Name, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread."""
        try:
            found, failure = places(self._resolve(name.host)), None
        except OSError as error:
            found, failure = (), error.strerror or type(error).__name__
        except Exception as error:  # no host name (a UnicodeError), or no address was given
            found, failure = (), type(error).__name__
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._answered, name, found, failure or ("" if found else "no address"))

    def _late(self, name: Name) -> None:
        name.patience = None
        self._fail(name, f"no answer in {self._patience:g}s")
        name.looked.set()

    def _answered(self, name: Name, found: tuple[Place, ...], failure: str) -> None:
        late, name.looking = name.patience is None, False
        name.rest()
        if not failure:
            self._take(name, found)
        elif not late:  # then it was told already
            self._fail(name, failure)
        name.looked.set()
        if name.left:
            self._forget(name)
        else:
            self._wait(name)

    def _forget(self, name: Name) -> None:
        name.rest()
        del self.known[name.host]

    def _fail(self, name: Name, failure: str) -> None:
        name.failed += 1
        name.row += 1
        name.failure, name.failed_at = failure, self._wall()
        if name.row == 1:
            words = "its last addresses count on" if name.places else "nothing is sent to it until it can"
            logger.warning("%s: cannot be looked up (%s); %s", name.host, failure, words)

    def _take(self, name: Name, found: tuple[Place, ...]) -> None:
        was, failed = name.places, name.row
        name.ok += 1
        name.row, name.failure = 0, None
        name.places, name.found_at = found, self._wall()
        if failed:
            logger.info("%s: can be looked up again", name.host)
        if found != was:
            logger.info("%s: is at %s", name.host, ", ".join(place[0] for place in found))
            self.changed(name.host)

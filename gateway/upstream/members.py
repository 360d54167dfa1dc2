"""Who the endpoints of the running upstreams are. What is written belongs to the configuration, until an operator adds,
removes or drains one; where names are belongs to `resolve`. Whenever one of the two changes, `Upstream.become` is told
what both come to, so no call that is under way notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.config.addresses import is_name
from gateway.upstream.member import Member, endpoints
from gateway.upstream.resolve import Name, Names

if TYPE_CHECKING:
    from gateway.plan import Snapshot
    from gateway.upstream.balance import Upstream
    from gateway.upstream.endpoint import Endpoint

logger = logging.getLogger("gateway")

MOST = 1000  # members of an upstream that operators may add to
AHEAD = 2.0  # seconds that names are waited for before something counts: a start, a reload, a new member


class NoSuchError(LookupError):
    """There is no upstream, or no endpoint, of that name; a sentence."""


class RefusedError(ValueError):
    """It cannot be done now: "what; remedy"."""


class Members:
    """Of every upstream that runs. `changed` is told when any of them has other endpoints."""

    def __init__(self, names: Names) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._names = names
        self._upstreams: Mapping[str, Upstream] = MappingProxyType({})
        names.changed = self._moved

    @property
    def names(self) -> Mapping[str, Name]:
        return self._names.known

    async def ahead(self, upstreams: Mapping[str, Upstream]) -> None:
        """Before these take calls: what is not known of their names is looked up, and waited for a moment."""
        self._loop = asyncio.get_running_loop()
        await self._names.ask(_hosts(upstreams.values()), AHEAD)

    def wait_ahead(self, upstreams: Mapping[str, Upstream]) -> None:
        """The same in a thread."""
        asyncio.run_coroutine_threadsafe(self.ahead(upstreams), self._loop).result()

    def renew(self, snapshot: Snapshot) -> None:
        """A configuration counts, the file is the truth again. Upstreams go on under their names; the endpoints of one
        that is gone end what they carry."""
        old, self._upstreams = self._upstreams, snapshot.upstreams
        for name, upstream in snapshot.upstreams.items():
            fresh = snapshot.fresh.pop(name)  # an old one is a circle: it goes while it is young
            fresh.endpoints = ()  # it has taken no calls yet, so none of those that follow joins others, slowly
            fresh.endpoints = self._wanted(fresh)
            upstream.adopt(fresh)
        for name in old.keys() - snapshot.upstreams.keys():
            for endpoint in old[name].endpoints:
                endpoint.retire()
        self._follow()

    def close(self) -> None:
        self._names.close()

    def _follow(self) -> None:
        found: dict[str, float] = {}
        for upstream in self._upstreams.values():
            for host in _hosts([upstream]):
                found[host] = min(found.get(host, upstream.dns_refresh), upstream.dns_refresh)
        self._names.follow(found)

    def _moved(self, host: str) -> None:
        """A name has other addresses: new calls go there, what is parked stays where it is."""
        moved = [each for each in self._upstreams.values() if any(one.host == host for one in each.members)]
        for upstream in moved:
            upstream.become(self._wanted(upstream))
        if moved:
            self.changed()

    def _wanted(self, upstream: Upstream) -> list[Endpoint]:
        """Where names moved so that only drained ones are left these take calls: who drains one counts on others."""
        found = list(endpoints(upstream, upstream.members, upstream.drained, self._names.at))
        if not found and (found := list(endpoints(upstream, upstream.members, frozenset(), self._names.at))):
            logger.warning("upstream %s: only endpoints that were drained are left; they take calls", upstream.name)
        return found

    # -- by hand -------------------------------------------------------------------------------------------------

    async def add(self, upstream: str, host: str, port: int, secure: bool, prefix: str, weight: int) -> Member:
        """One more endpoint, like those that are there. Raises NoSuchError and RefusedError."""
        made = self._like(self._upstream(upstream), host, port, secure, prefix, weight)
        if is_name(host):
            await self._names.ask([host], AHEAD)
            if not self._names.at(host):
                raise RefusedError(f"{host} {self._trouble(host)}; nothing was added: check the name, or ask again")
        now = self._upstream(upstream)  # a reload may have come between
        self._like(now, host, port, secure, prefix, weight)
        self._change(now, (*now.members, made), now.drained)
        logger.info("upstream %s: %s was added by an operator, until the next reload", upstream, made.url)
        return made

    def remove(self, upstream: str, name: str) -> None:
        """It takes no new calls and is forgotten once it has ended those it carries."""
        found = self._upstream(upstream)
        if name not in {member.name for member in found.members}:
            self._known(found, name)
            raise RefusedError(f"{name} is one address of a name; drain it, or remove the name")
        left = tuple(each for each in found.members if each.name != name)
        self._change(found, left, _less(found, name))
        logger.info("upstream %s: %s was removed by an operator, until the next reload", upstream, name)

    def drain(self, upstream: str, name: str, drained: bool) -> None:
        """It takes no new calls, or takes them again. `name` is a member's, or that of one of its addresses."""
        found = self._upstream(upstream)
        self._known(found, name)
        self._change(found, found.members, found.drained | {name} if drained else found.drained - {name})
        word = "takes no new calls" if drained else "takes calls again"
        logger.info("upstream %s: %s %s, says an operator", upstream, name, word)

    def _change(self, upstream: Upstream, members: tuple[Member, ...], drained: frozenset[str]) -> None:
        wanted = list(endpoints(upstream, members, drained, self._names.at))
        if not members or (upstream.endpoints and not wanted):
            raise RefusedError("it is the last endpoint that takes calls; add another one first")
        upstream.members, upstream.drained = members, drained
        upstream.become(wanted)
        self._follow()
        self.changed()

    def _upstream(self, name: str) -> Upstream:
        if name not in self._upstreams:
            raise NoSuchError(f"there is no upstream {name}; there are {', '.join(self._upstreams)}")
        return self._upstreams[name]

    def _known(self, upstream: Upstream, name: str) -> None:
        members = [member.name for member in upstream.members]
        addresses = [one.full_name for each in upstream.members for one in each.endpoints(upstream, self._names.at)]
        if name not in (*members, *addresses):
            raise NoSuchError(f"upstream {upstream.name} has no endpoint {name}; it has {', '.join(members)}")

    def _like(self, upstream: Upstream, host: str, port: int, secure: bool, prefix: str, weight: int) -> Member:
        """A new member with the certificates and the path of the others."""
        like = next((each for each in upstream.members if secure == (each.tls is not None)), None)
        if like is None:
            scheme = "http" if secure else "https"
            raise RefusedError(f"the other endpoints speak {scheme}; write {scheme}://, or change them in the file")
        if prefix != like.prefix:
            raise RefusedError(f'the path of the others is "{like.prefix}"; write the same, or change it in the file')
        made = replace(like, host=host, port=port, weight=weight, by_hand=True)
        if any(each.name == made.name for each in upstream.members):
            raise RefusedError(f"{made.name} is an endpoint already; remove it first to give it another weight")
        if len(upstream.members) >= MOST:
            raise RefusedError(f"there are {MOST} endpoints; remove some first, or write them in the file")
        return made

    def _trouble(self, host: str) -> str:
        known = self._names.known.get(host)
        failure = known.failure if known is not None else None
        return f"cannot be looked up ({failure or f'no answer in {AHEAD:g}s'})"


def _less(upstream: Upstream, name: str) -> frozenset[str]:
    """What is drained besides a member and its addresses."""
    gone = [member for member in upstream.members if member.name == name]
    return frozenset(each for each in upstream.drained if not any(member.owns(each) for member in gone))


def _hosts(upstreams: Iterable[Upstream]) -> set[str]:
    return {each.host for upstream in upstreams for each in upstream.members if is_name(each.host)}

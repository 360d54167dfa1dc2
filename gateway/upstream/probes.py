"""Active probes on the wire: one short GET to an endpoint, by a session that keeps nothing, follows nothing and trusts
nothing that was not written. What its result means is decided in `health`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from gateway.upstream.health import Health, Watcher
from gateway.upstream.standing import Probe

if TYPE_CHECKING:
    from gateway.upstream.endpoint import Endpoint

AGENT = "longpoll-gateway-probe"


class Prober:
    """`probe` begins one and tells the watcher how it ended; none outlives `close`. `now` is loop seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._session: aiohttp.ClientSession | None = None
        self._asking: dict[Endpoint, asyncio.Task[None]] = {}

    def probe(self, watcher: Watcher, endpoint: Endpoint, health: Health) -> None:
        """Unless the one before it still waits: an interval may be shorter than the time a probe has."""
        if endpoint not in self._asking:
            task = self._asking[endpoint] = self._loop.create_task(self._run(watcher, endpoint, health))
            task.add_done_callback(lambda _: self._asking.pop(endpoint))

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _run(self, watcher: Watcher, endpoint: Endpoint, health: Health) -> None:
        began = self._now()
        good, said = await self._ask(endpoint, health)
        now = self._now()
        watcher.probed(endpoint, Probe(good, said, now, now - began))

    async def _ask(self, endpoint: Endpoint, health: Health) -> tuple[bool, str]:
        """Whether it is well, and how it said so: never in its own words. It is asked where calls are dialled: at the
        first of its places, or where nobody lets us in there at the next."""
        try:
            async with asyncio.timeout(health.timeout):
                for place in endpoint.places[:-1]:
                    with suppress(aiohttp.ClientConnectorError):
                        return await self._ask_at(place, endpoint, health)
                return await self._ask_at(endpoint.places[-1], endpoint, health)
        except TimeoutError:
            return False, "timeout"
        except aiohttp.ClientSSLError:
            return False, "tls"
        except aiohttp.ClientConnectorError as error:
            return False, type(error.os_error).__name__
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a name that is no host name
            return False, type(error).__name__

    async def _ask_at(self, place: str, endpoint: Endpoint, health: Health) -> tuple[bool, str]:
        if self._session is None:
            self._session = _session()
        secure = endpoint.tls is not None
        async with self._session.get(
            _url(place, endpoint, health),
            headers={"Host": health.host or endpoint.authority},
            ssl=endpoint.tls if endpoint.tls is not None else True,
            server_hostname=(endpoint.server_name or endpoint.host) if secure else None,
            timeout=aiohttp.ClientTimeout(),  # its own is around it
            allow_redirects=False,
        ) as answer:
            return is_good(health, answer.status), f"status {answer.status}"


def is_good(health: Health, status: int) -> bool:
    return status in health.status if health.status else 200 <= status < 300


def _session() -> aiohttp.ClientSession:
    """A new connection for each: that it can be made is part of being well."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers={"User-Agent": AGENT, "Accept": "*/*"},
        skip_auto_headers=("Accept-Encoding",),
        requote_redirect_url=False,
    )


def _url(place: str, endpoint: Endpoint, health: Health) -> URL:
    scheme = "https" if endpoint.tls is not None else "http"
    host = f"[{place}]" if ":" in place else place
    return URL(f"{scheme}://{host}:{endpoint.port}{endpoint.prefix}{health.path}", encoded=True)

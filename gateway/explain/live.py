"""Asks the gateway that runs with this configuration how much of each limit is used up, over its admin listener. Only
reads; whatever goes wrong is a sentence, for an explanation must not fail because nobody is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gateway.config.references import read_secret
from gateway.explain.model import Count
from gateway.reaching import base_url

if TYPE_CHECKING:
    from gateway.config.addresses import Listen
    from gateway.config.settings import Config
    from gateway.explain.limits import Pair

TIMEOUT = 1.0  # seconds
ABSENT = "the gateway is not running here: counts unknown"
_LONGEST = 6000  # bytes of a query
_READ = 256 * 1024  # bytes of an answer


def ask(
    config: Config, pairs: Sequence[Pair], environ: Mapping[str, str], timeout: float = TIMEOUT
) -> tuple[dict[Pair, Count], str]:
    """The counts of `pairs`, as far as they are known, and who told them or why nobody did. `timeout` is for
    everything, in seconds."""
    admin = config.admin
    if admin is None:
        return {}, "there is no [admin] listener to ask: counts unknown"
    if admin.listen.path is None and not admin.listen.port:
        return {}, "the [admin] listener has no port of its own to ask at: counts unknown"
    try:
        token = read_secret(admin.token, environ) if admin.token is not None else None
        found = asyncio.run(_ask(admin.listen, token, list(dict.fromkeys(pairs)), timeout))
    except OSError:
        return {}, ABSENT
    except ValueError as error:
        return {}, f"{error}: counts unknown"
    return found, f"as the gateway at {admin.listen} counts them now"


async def _ask(listen: Listen, token: str | None, pairs: list[Pair], seconds: float) -> dict[Pair, Count]:
    import aiohttp
    from yarl import URL

    from gateway.admin.counts import MAX_PAIRS

    connector = aiohttp.UnixConnector(listen.path) if listen.path is not None else aiohttp.TCPConnector()
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    timeout = aiohttp.ClientTimeout(total=seconds)
    found: dict[Pair, Count] = {}
    try:
        async with asyncio.timeout(seconds), aiohttp.ClientSession(
            connector=connector, headers=headers, timeout=timeout, trust_env=False
        ) as session:  # fmt: skip
            for some in _batches(pairs, MAX_PAIRS):
                url = URL(f"{base_url(listen)}/api/limits?{_query(some)}", encoded=True)
                async with session.get(url, allow_redirects=False) as answer:
                    found |= _read(answer.status, await answer.content.read(_READ), some)
    except aiohttp.ClientError as error:
        raise OSError(str(error)) from None
    return found


def _query(pairs: list[Pair]) -> str:
    return urlencode([each for pair in pairs for each in zip(("limit", "key"), pair, strict=True)], errors="replace")


def _batches(pairs: list[Pair], most: int) -> Iterator[list[Pair]]:
    """So many at once as fit into a request line."""
    some: list[Pair] = []
    for pair in pairs:
        if some and (len(some) == most or len(_query([*some, pair])) > _LONGEST):
            yield some
            some = []
        some.append(pair)
    if some:
        yield some


def _read(status: int, body: bytes, asked: list[Pair]) -> dict[Pair, Count]:
    """An answer, which may be anybody's: something else may listen there."""
    import orjson

    if status == 401:
        raise ValueError("the running gateway does not accept the admin token of this configuration")
    try:
        found = orjson.loads(body)
        told = [(each["limit"], each["key"], each) for each in found["limits"]] if status == 200 else []
    except (ValueError, TypeError, KeyError):
        told = []
    if [(limit, key) for limit, key, _ in told] != asked:
        raise ValueError("what listens at the admin address is no gateway, or of another version")
    return {(limit, key): _count(each) for limit, key, each in told}


def _count(told: dict[str, Any]) -> Count:
    numbers = {name: told[name] for name in ("left", "reset", "held", "max", "waiting") if type(told.get(name)) is int}
    return Count(bool(told.get("kind")) and bool(numbers), **numbers)

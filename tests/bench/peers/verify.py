"""That a peer does what its row says, before anything is measured: the same configuration with limits so low that they
must refuse, and a poll that is held for longer than the timeouts a proxy has by itself. What a peer cannot do is
verified too: a table that is unkind to somebody would be wrong as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import orjson

from ..proxies import Stage, tokens
from ..wire import body, request, status
from .peer import POLL, Limits, Peer
from .playing import CLAIMS, Told, ask, connections, playing

LOW = Limits(consumer=5, address=60, held=1)
TRIES = 20  # with one token; with many, three for each call that an address may make
HELD = 65.0  # seconds: longer than the timeouts of a minute that nginx, Varnish and others have by themselves
WITHIN = 10.0


class UntrueError(Exception):
    """A peer does not do what its row says; the text is one sentence."""


@dataclass(slots=True)
class Trial:
    """A peer under verification and the low limits."""

    peer: Peer
    on: Stage
    records: Path
    hold_for: float

    async def status(self, path: str, token: str) -> int:
        return status(await ask(self.on, request(path, token), WITHIN))

    def insist(self, fact: bool, text: str) -> None:
        if not fact:
            raise UntrueError(f"{self.peer.name} {text}")


async def verify(peer: Peer, hold_for: float = HELD) -> None:
    """Raises UntrueError unless all is as the peer's row says."""
    told = Told()
    async with playing(peer, LOW, told) as on:
        trial = Trial(peer, on, told.directory / peer.records, hold_for)
        long = asyncio.ensure_future(_holds(trial))
        try:
            for check in CHECKS:
                await check(trial)
            await long
        finally:
            long.cancel()


async def _holds(trial: Trial) -> None:
    """A poll is held for as long as the service takes, and then gets its news."""
    began, path = time.monotonic(), f"{POLL}&for={trial.hold_for:g}"
    answer = await ask(trial.on, request(path, next(trial.on.tokens)), trial.hold_for + WITHIN)
    took = time.monotonic() - began
    good = answer and status(answer) == 200 and b'"events"' in body(answer) and took >= trial.hold_for - 0.01
    trial.insist(
        bool(good), f"did not hold a poll for {trial.hold_for:g} s but said {answer[:200]!r} after {took:.1f} s"
    )


async def _reuses(trial: Trial) -> None:
    """Requests one after the other share a connection to the upstream."""
    before, counted = await connections(trial.on.control), 10
    for token in islice(trial.on.tokens, counted):
        trial.insist(await trial.status("/now", token) == 200, "does not answer 200")
    made = await connections(trial.on.control) - before
    trial.insist(made < counted / 2, f"made {made:g} connections to the upstream for {counted} requests in turn")


async def _judges_tokens(trial: Trial) -> None:
    forged = tokens("another-secret-than-the-one-that-the-proxies-know-of", **CLAIMS)
    expired = tokens(**CLAIMS, exp=1_000_000_000)
    elsewhere = tokens(**CLAIMS, aud="somebody-else")
    expected = 401 if trial.peer.jwt else 200
    for what, bad in (("a forged token", forged), ("an expired one", expired), ("one for others", elsewhere)):
        said = await trial.status("/now", next(bad))
        trial.insist(said == expected, f"answers {said} to {what}, not {expected}")


async def _caps_polls(trial: Trial) -> None:
    token = next(trial.on.tokens)
    held = (await trial.on.control.stats())["held"]
    first = asyncio.ensure_future(ask(trial.on, request(f"{POLL}&for=3", token), WITHIN))
    while (await trial.on.control.stats())["held"] <= held:
        trial.insist(not first.done(), "does not hold the first poll of a client")
        await asyncio.sleep(0.01)
    second = await trial.status(f"{POLL}&for=0.1", token)
    expected = 429 if trial.peer.held else 200
    trial.insist(second == expected, f"answers {second} to a client's second poll, not {expected}")
    trial.insist(status(await first) == 200, "does not answer a poll while another of its client is refused")


async def _limits_consumers(trial: Trial) -> None:
    token = next(trial.on.tokens)
    said = [await trial.status("/now", token) for _ in range(TRIES)]
    let_in = said.count(200)
    if trial.peer.rates:
        trial.insist(LOW.consumer <= let_in <= LOW.consumer + 2, f"lets {let_in} calls of {LOW.consumer} in: {said}")
        trial.insist(said == [200] * let_in + [429] * (TRIES - let_in), f"answers a client so: {said}")
    else:
        trial.insist(let_in == TRIES, f"limits a rate, which its row does not say: {said}")


async def _limits_addresses(trial: Trial) -> None:
    some = islice(trial.on.tokens, 3 * LOW.address)
    said = [await trial.status("/now", token) for token in some]
    refused = said.count(429)
    if trial.peer.rates:
        trial.insist(refused >= LOW.address, f"refuses {refused} of {len(said)} calls from one address")
    else:
        trial.insist(said == [200] * len(said), "limits an address, which its row does not say")


async def _writes_records(trial: Trial) -> None:
    """Lines of JSON, one at least for each of the calls so far that were let in and a client can tell apart."""
    if not trial.peer.log:
        return
    until, paths, expected = time.monotonic() + WITHIN, 0, LOW.consumer + LOW.address // 2
    while paths < expected and time.monotonic() < until:
        await asyncio.sleep(0.1)
        text = trial.records.read_bytes() if trial.records.exists() else b""
        paths = sum(b"/now" in line for line in text.splitlines())
    trial.insist(paths >= expected, f"wrote {paths} lines about /now, not {expected}")
    for line in text[: text.rindex(b"\n")].splitlines():
        try:
            orjson.loads(line)
        except ValueError:
            raise UntrueError(f"{trial.peer.name} wrote a line that is no JSON: {line[:300]!r}") from None


CHECKS: tuple[Callable[[Trial], Awaitable[None]], ...] = (
    _reuses, _judges_tokens, _caps_polls, _limits_consumers, _limits_addresses, _writes_records,
)  # fmt: skip

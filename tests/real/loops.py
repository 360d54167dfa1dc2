"""Client loops as people write them: a requests session, and httpx. Each collects items until it has enough of them
or its group has; each backs off with jitter on a server error, as every tutorial tells it to.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import requests

PATIENCE = 20.0  # seconds a client waits for one answer
BASE, CAP = 0.01, 0.1  # seconds of back-off


@dataclass
class Basket:
    """What a group of clients collected. `want` items end every loop of the group."""

    want: int
    items: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def full(self) -> bool:
        return len(self.items) >= self.want

    def add(self, news: list[dict[str, int]]) -> None:
        with self.lock:
            self.items += [one["item"] for one in news]


def pause(failures: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Exponential back-off with full jitter, in seconds."""
    return draw(0, min(CAP, BASE * 2**failures))


def follow(url: str, headers: dict[str, str], basket: Basket, *, cursor: bool, pauses: list[float]) -> None:
    """The loop of a `requests` tutorial. `pauses` receives every back-off."""
    last, failures, wait = 0, 0, threading.Event()
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(headers)
        while not basket.full:
            answer = session.get(url, params={"last_event_id": last} if cursor else None, timeout=PATIENCE)
            basket.statuses.append(answer.status_code)
            if answer.status_code >= 500:
                failures += 1
                pauses.append(pause(failures))
                wait.wait(pauses[-1])
                continue
            answer.raise_for_status()
            failures = 0
            news = answer.json() if answer.status_code == 200 else []
            last = max([last, *(one["id"] for one in news)])
            basket.add(news)


def follow_in_threads(
    url: str, headers: dict[str, str], baskets: list[Basket], *, cursor: bool
) -> list[threading.Thread]:
    """One `follow` per basket, each in a thread of its own."""
    say = {"cursor": cursor, "pauses": []}
    threads = [
        threading.Thread(target=follow, args=(url, headers, basket), kwargs=say, daemon=True) for basket in baskets
    ]
    for thread in threads:
        thread.start()
    return threads


async def follow_async(url: str, headers: dict[str, str], basket: Basket, *, cursor: bool) -> None:
    """The same loop with httpx."""
    last, failures = 0, 0
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE, trust_env=False) as session:
        while not basket.full:
            answer = await session.get(url, params={"last_event_id": str(last)} if cursor else {})
            basket.statuses.append(answer.status_code)
            if answer.status_code >= 500:
                failures += 1
                await asyncio.sleep(pause(failures))
                continue
            answer.raise_for_status()
            failures = 0
            news = answer.json() if answer.status_code == 200 else []
            last = max([last, *(one["id"] for one in news)])
            basket.add(news)

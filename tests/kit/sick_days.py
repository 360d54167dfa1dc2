"""What goes wrong for clients, as calls: each sickness as the records it leaves, on routes and consumers of its own, to
be laid beside a healthy day of `history`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from .history import START

Record = dict[str, object]

NOON = START + timedelta(hours=12)
_IDS = itertools.count()


def call(at: datetime, route: str, outcome: str, **more: object) -> Record:
    """One call; times in seconds."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    record: Record = {
        "v": 1, "time": stamp, "id": f"sick-{next(_IDS)}", "route": route, "method": "GET", "path": f"/{route}",
        "status": 200, "outcome": outcome, "peer": "198.51.100.1", "took": 0.01, "work": 0.01, "attempts": 1,
        "endpoint": "10.9.0.1:5000",
    }  # fmt: skip
    return record | more


def poll(at: datetime, route: str, outcome: str, held: float, hold: float = 25.0, **more: object) -> Record:
    """One poll that was granted `hold` and lasted `held`."""
    return call(
        at, route, outcome, dialect="plain", hold_asked=hold, hold_granted=hold, held=held, took=held + 0.001, **more
    )


def refusal(at: datetime, route: str, outcome: str, **more: object) -> Record:
    """A poll that was turned away."""
    return poll(at, route, outcome, 0.0, status=429, attempts=0, endpoint=None, **more)


def one_slot() -> Iterator[Record]:
    """A worker that does one thing at a time: its jobs wait until each poll has ended in nothing."""
    at = NOON
    while at < NOON + timedelta(hours=2):
        yield poll(at, "feed", "empty", 25.0, consumer="runner")
        at += timedelta(seconds=25.01)
        yield call(at, "builds", "answered", took=0.2, consumer="runner")
        at += timedelta(seconds=0.25)


def capped_slot() -> Iterator[Record]:
    """A cap of one poll: the long one always has it."""
    for number in range(140):
        at = NOON + timedelta(seconds=25.1 * number)
        yield poll(at, "feed", "empty", 25.0, consumer="kiosk")
        if number % 4 == 0:
            yield refusal(at + timedelta(seconds=5), "alerts", "capped", consumer="kiosk")


def tight_loop() -> Iterator[Record]:
    """A service that does not hold, and three clients that ask ten times a second."""
    for client in range(3):
        for number in range(1200):
            at = NOON + timedelta(seconds=number / 10)
            yield poll(at, "feed", "empty", 0.003, consumer=f"hasty-{client}")


def edge_cut() -> Iterator[Record]:
    """An edge that cuts at 30 s what would be held for 45 s."""
    for number in range(200):
        at = NOON + timedelta(seconds=7 * number)
        if number % 3:
            held = 29.99 + number % 5 / 100
            yield poll(at, "feed", "client_gone", held, 45.0, consumer=f"far-{number % 9}", status=None)
        else:
            yield poll(at, "feed", "news", number % 30, 45.0, consumer=f"far-{number % 9}")


def tight_limit() -> Iterator[Record]:
    """A rate limit that refuses a quarter of everybody's polls."""
    for number in range(800):
        at, consumer = NOON + timedelta(seconds=4 * number), f"many-{number % 20}"
        if number % 4:
            yield poll(at, "feed", "news", 3.0, consumer=consumer)
        else:
            yield refusal(at, "feed", "rate_limited", consumer=consumer)


def greedy_client() -> Iterator[Record]:
    """A rate limit that refuses one client only."""
    for number in range(800):
        at = NOON + timedelta(seconds=4 * number)
        if number % 4:
            yield poll(at, "feed", "news", 3.0, consumer=f"many-{number % 20}")
        else:
            yield refusal(at, "feed", "rate_limited", consumer="greedy")


def evictions() -> Iterator[Record]:
    """Tabs that end each other's polls."""
    for number in range(400):
        at = NOON + timedelta(seconds=9 * number)
        yield poll(at, "feed", "evicted" if number % 3 == 0 else "news", 8.0, consumer=f"tabs-{number % 30}")


def overruns() -> Iterator[Record]:
    """One endpoint of two that holds longer than it was told."""
    for number in range(600):
        at = NOON + timedelta(seconds=6 * number)
        late = number % 2 == 0 and number % 3 == 0
        yield poll(at, "feed", "overrun" if late else "empty", 26.5 if late else 25.0, consumer=f"client-{number % 30}",
                   endpoint=f"10.9.0.{1 + number % 2}:5000")  # fmt: skip


def clamped() -> Iterator[Record]:
    """Clients that ask for 90 s where 45 s is the most."""
    for number in range(300):
        at = NOON + timedelta(seconds=12 * number)
        yield poll(at, "feed", "empty", 45.0, 45.0, consumer=f"client-{number % 30}") | {
            "hold_asked": 90.0, "clamped_by": "max"}  # fmt: skip


def short_tokens() -> Iterator[Record]:
    """Tokens that last two polls."""
    for number in range(300):
        at, consumer = NOON + timedelta(seconds=12 * number), f"client-{number % 30}"
        if number % 2:
            yield poll(at, "feed", "empty", 25.0, consumer=consumer)
        else:
            yield poll(at, "feed", "expired", 11.0, 11.0, consumer=consumer) | {
                "hold_asked": 25.0, "clamped_by": "token"}  # fmt: skip


def bot() -> Iterator[Record]:
    """Not sick: one thing at a time, but what it does beside polling answers the news."""
    for number in range(400):
        at = NOON + timedelta(seconds=15 * number)
        yield poll(at, "feed", "news" if number % 2 else "empty", 14.5, consumer="bot")
        if number % 2:
            yield call(at + timedelta(seconds=14.6), "replies", "answered", took=0.1, consumer="bot")


def restless() -> Iterator[Record]:
    """Not sick: people who leave whenever they like."""
    for number in range(1000):
        at = NOON + timedelta(seconds=3 * number)
        yield poll(at, "feed", "client_gone", number * 7 % 250 / 10, consumer=f"reader-{number % 90}", status=None)


WELL: dict[str, Callable[[], Iterator[Record]]] = {"bot": bot, "restless": restless}
SICK: dict[str, Callable[[], Iterator[Record]]] = {
    "one_slot": one_slot, "capped_slot": capped_slot, "tight_loop": tight_loop, "edge_cut": edge_cut,
    "tight_limit": tight_limit, "greedy_client": greedy_client, "evictions": evictions, "overruns": overruns,
    "clamped": clamped, "short_tokens": short_tokens,
}  # fmt: skip


def write(path: Path, records: Iterator[Record]) -> None:
    """Records as lines, as the gateway writes them."""
    with path.open("ab") as file:
        file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)

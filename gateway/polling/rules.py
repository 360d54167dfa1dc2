"""What a well-behaved long-poll client does next, as pure functions: how an answer is read, when to poll
again, from which cursor, and when to stop. No sockets and no clock here; `gateway/poll.py` acts on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeAlias

import orjson

Cursor: TypeAlias = "int | str"
Draw: TypeAlias = Callable[[float, float], float]  # random.uniform, or a fixed one in tests
LONGEST_WAIT = 86_400.0  # seconds; a Retry-After beyond a day is taken as a day


class What(StrEnum):
    """What a poll turned out to be."""

    NEWS = "news"
    NO_NEWS = "no news"
    FAILED = "failed"  # may be better later: back off
    REFUSED = "refused"  # will not be better later: stop


@dataclass(frozen=True, slots=True)
class Rules:
    """The pace of a client, in seconds. While polls bring nothing new, one starts at least `floor` after the
    other; `base` doubles with every failure in a row, up to `cap`; `least` is the shortest back-off.
    """

    floor: float = 1.0
    base: float = 1.0
    cap: float = 30.0
    least: float = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """How one poll ended. `status` is None when there was no answer; `held` is seconds from start to end.
    `hopeless` says why asking again cannot help, where that is known (a certificate that is not trusted).
    """

    status: int | None
    held: float = 0.0
    items: int = 0
    cursor: Cursor | None = None  # the newest id in the body
    retry_after: float | None = None  # seconds
    hopeless: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the client stands between two polls."""

    cursor: Cursor | None = None
    failures: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class Next:
    """The decision: wait `delay` seconds and poll again from `place`, or stop because of `stop`."""

    what: What
    place: Place
    delay: float = 0.0
    stop: str | None = None


STOPS: dict[int, str] = {
    400: "the request was refused as malformed; check the URL and the headers",
    401: "no valid token was presented; pass one with -H 'Authorization: Bearer ..'",
    403: "the token is valid but not allowed here; use one with the scopes this route asks for",
    404: "nothing is served at this address; check the path",
    405: "this address does not take GET; check the path",
    410: "this address is gone for good",
}
NO_NEWS_STATUS = frozenset({204, 304})
BACK_OFF_STATUS = frozenset({408, 425, 429})
OBEYS_RETRY_AFTER = frozenset({429, 503})


def decide(place: Place, answer: Answer, rules: Rules, draw: Draw) -> Next:
    """What to do after `answer`. Everything a client does to a server is decided here and nowhere else."""
    status = answer.status
    if answer.hopeless is not None:
        return Next(What.REFUSED, place, stop=answer.hopeless)
    if status is None or status in BACK_OFF_STATUS or status >= 500:
        return _back_off(place, answer, rules, draw)
    if status >= 300 and status not in NO_NEWS_STATUS:
        return Next(What.REFUSED, place, stop=_why_stop(status))
    cursor = later(place.cursor, answer.cursor)
    news = answer.items > 0 and status not in NO_NEWS_STATUS
    moved = news and cursor != place.cursor
    # An answer that moved nothing may come at once and for ever: such a loop is slowed to one poll a `floor`.
    delay = 0.0 if moved else max(0.0, rules.floor - answer.held)
    return Next(What.NEWS if news else What.NO_NEWS, Place(cursor), delay)


def _back_off(place: Place, answer: Answer, rules: Rules, draw: Draw) -> Next:
    """Exponential back-off with full jitter, never earlier than a Retry-After (RFC 9110 section 10.2.3)."""
    after = replace(place, failures=place.failures + 1)
    ceiling = min(rules.cap, rules.base * 2.0 ** min(place.failures, 30))
    delay = max(rules.least, draw(0.0, ceiling))
    if answer.retry_after is not None and answer.status in OBEYS_RETRY_AFTER:
        # Everyone was told the same second: come a little later than it, each at another time.
        delay = min(answer.retry_after, LONGEST_WAIT) + draw(0.0, min(rules.base, ceiling))
    return Next(What.FAILED, after, delay)


def _why_stop(status: int) -> str:
    if status < 400:
        return "the server redirects and this client does not follow; poll the address it names instead"
    return STOPS.get(status, "asking the same again will not help; see the answer's body")


def later(old: Cursor | None, new: Cursor | None) -> Cursor | None:
    """The cursor to go on from. Numbers only ever grow; of opaque ids the newer answer's is taken."""
    if new is None:
        return old
    if isinstance(old, int) and isinstance(new, int):
        return max(old, new)
    return new


def as_cursor(text: str) -> Cursor:
    """A cursor as typed by a person: a plain whole number is a number, anything else an opaque id."""
    plain = text.isascii() and text.isdigit() and len(text) < 19 and (text[0] != "0" or text == "0")
    return int(text) if plain else text


def read_body(body: bytes, field: str) -> tuple[list[object], Cursor | None]:
    """The items of an answer and the newest cursor in them: the largest `field` of a JSON array of objects.

    A JSON object counts as one item, and so does a body that is not JSON; white space only is no item.
    """
    if not body.strip():
        return [], None
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return [body.decode("utf-8", "replace")], None
    items = data if isinstance(data, list) else [] if data is None else [data]
    ids = [_id(item.get(field)) for item in items if isinstance(item, dict)]
    known = [one for one in ids if one is not None]
    numbers = [one for one in known if isinstance(one, int)]
    if known and len(numbers) == len(known):
        return items, max(numbers)
    return items, known[-1] if known else None  # opaque ids have no order of their own: the last one


def _id(value: object) -> Cursor | None:
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        return None
    return value if isinstance(value, int) else as_cursor(value)


def read_retry_after(value: str | None, now: float) -> float | None:
    """Retry-After as seconds from `now` (Unix seconds): delay-seconds or HTTP-date; None if it is neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        when = parsedate_to_datetime(text)
        seconds = (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT) if math.isfinite(seconds) else None

"""From when to when: `2h` or `2025-01-15T09:30Z` as an instant, and the window between two of them. Pure; an instant
is UTC, and so is a timestamp without a zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gateway.config.durations import parse_duration, quoted

_DAYS = re.compile(r"([0-9]{1,5})d")
_LONGEST = 10 * 366  # days
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """Calls that began at `since` or later, and before `until`."""

    since: datetime = _FIRST
    until: datetime = _LAST

    @property
    def seconds(self) -> float:
        return (self.until - self.since).total_seconds()

    def before(self) -> Window:
        """The window of the same length that ends where this one begins."""
        room = min(self.until - self.since, self.since - _FIRST)
        return Window(self.since - room, self.since)


def parse_window(since: str | None, until: str | None, now: datetime, default: str | None = None) -> Window:
    """The window of `--since` and `--until`, both optional. Raises ValueError with a sentence."""
    since = since if since is not None else default
    begin = parse_instant(since, now) if since is not None else _FIRST
    end = parse_instant(until, now) if until is not None else max(now, begin) + timedelta(seconds=1)
    if begin >= end:
        raise ValueError(f"--since {quoted(since)} is not before --until {quoted(until)}; write an earlier --since")
    return Window(begin, end)


def parse_instant(text: str, now: datetime) -> datetime:
    """A duration is so long ago; else a date, or a date and a time."""
    ago = span(text)
    if ago is not None:
        return max(now - ago, _FIRST)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'{quoted(text)} is neither a duration nor a time; write such as "1h", "2d" or "2025-01-15T09:30:00Z"'
        ) from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return min(max(found, _FIRST), _LAST)


def span(text: str) -> timedelta | None:
    """A duration as configurations write it, or days; None for what is none."""
    days = _DAYS.fullmatch(text)
    if days is not None:
        return timedelta(days=min(int(days[1]), _LONGEST))
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError:
        return None


def shown(instant: datetime) -> str:
    """An instant as people read it."""
    return f"{instant:%Y-%m-%d %H:%M:%S}Z"

"""Numbers with a unit as people write them: durations, sizes, rates. Pure parsers and their inverse.
Every error is a ValueError whose text is "what is wrong; what to write instead".
"""

from __future__ import annotations

import re

YEAR = 365 * 86400.0  # seconds: nothing in a gateway waits longer on purpose
_TIB = 1 << 40

_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,9})?)"
_DURATION = re.compile(_NUMBER + r"(ms|s|m|h)")
_SIZE = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB|[kK]B|MB|GB)")
_RATE = re.compile(_NUMBER + r"/(s|sec|second|m|min|minute|h|hour|d|day)")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def quoted(value: object) -> str:
    """A value as it may be shown in a message: in double quotes, control characters escaped, cut at 60 characters."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return '"' + text.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _text(value: object, kind: str, example: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f'is not {kind}; write text in quotes, such as "{example}"')
    if isinstance(value, (int, float)):
        raise ValueError(f'is a number without a unit; write {kind} in quotes, such as "{example}"')
    return value


def parse_duration(value: object) -> float:
    """`"250ms"`, `"25s"`, `"5m"`, `"1h"` as seconds. At most a year; never negative, never NaN."""
    text = _text(value, "a duration", "25s")
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f'{quoted(text)} is not a duration; write a number and ms, s, m or h, such as "25s"')
    seconds = round(float(match[1]) * _SECONDS[match[2]], 9)
    if seconds > YEAR:
        raise ValueError(f'{quoted(text)} is longer than a year; write a shorter duration, such as "1h"')
    return seconds


def format_duration(seconds: float) -> str:
    """Seconds in the largest unit that needs no fraction; below a second in ms. "unbounded" for infinity.

    `parse_duration(format_duration(x)) == x` for every duration that can be written.
    """
    if seconds == float("inf"):
        return "unbounded"
    for unit in ("h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds / _SECONDS[unit])}{unit}"
    if 0 < seconds < 1 and seconds == round(round(seconds * 1000) * 0.001, 9):
        return f"{round(seconds * 1000)}ms"
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def parse_size(value: object) -> int:
    """`"512B"`, `"16KiB"`, `"1MiB"`, `"10MB"` as bytes. At most 1 TiB."""
    text = _text(value, "a size", "16KiB")
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(
            f'{quoted(text)} is not a size; write a whole number and B, KiB, MiB, GiB, kB, MB or GB, such as "16KiB"'
        )
    size = int(match[1]) * _BYTES[match[2]]
    if size > _TIB:
        raise ValueError(f'{quoted(text)} is more than 1024GiB; write a smaller size, such as "10MiB"')
    return size


def format_size(size: int) -> str:
    """Bytes in the largest binary unit that needs no fraction. The inverse of `parse_size`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def parse_rate(value: object) -> tuple[float, float]:
    """`"60/min"` as (how many, seconds): (60.0, 60.0). The count is above 0 and at most a million million."""
    text = _text(value, "a rate", "60/min")
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f'{quoted(text)} is not a rate; write a number per s, min, hour or day, such as "60/min"')
    count = float(match[1])
    if count <= 0:
        raise ValueError(f'{quoted(text)} admits nothing; write a rate above 0, such as "60/min"')
    return count, _PERIODS[match[2][0]]

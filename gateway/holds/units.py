"""How long a wait is, as clients write it: seconds, milliseconds, Go and ISO durations. Belongs here: reading such
a text into seconds and writing seconds back. Strict on purpose: what is not plainly a number is None.
"""

from __future__ import annotations

import re
from typing import Final, Literal

Unit = Literal["s", "ms", "duration", "iso"]

LONGEST_HOLD: Final = 86_400.0  # seconds: what "never unbounded" means where a dialect lets any wish pass
LONGEST_TEXT: Final = 32  # characters; a longer one is not a wait anybody meant
SMALLEST: dict[Unit, float] = {
    "s": 1.0,
    "ms": 0.001,
    "duration": 0.001,
    "iso": 0.001,
}  # the step of each, in seconds

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)")
_GO_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_GO: Final = re.compile(rf"([+-]?)((?:{_GO_PART.pattern})+)")
_GO_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_ISO: Final = re.compile(
    r"([+-]?)P(?=.)(?:([0-9]+)D)?(?:T(?=.)(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9]+(?:[.,][0-9]*)?)S)?)?"
)
_ISO_SECONDS = (86_400.0, 3600.0, 60.0, 1.0)
_HAIR: Final = 1e-6  # of a unit: keeps 0.029 s from becoming 28 ms through rounding of binary fractions


def number(text: str) -> float | None:
    """A decimal number, or None. No exponent, no `inf`, no `NaN`, no underscores, ASCII digits only."""
    if text.isascii() and text.isdigit() and len(text) <= LONGEST_TEXT:  # nearly all of them
        return float(text)
    text = text.strip(" \t")
    if len(text) > LONGEST_TEXT or _NUMBER.fullmatch(text) is None:
        return None
    return float(text)


def go_duration(text: str) -> float | None:
    """Seconds of a Go duration (`10s`, `1m30s`, `500ms`), or None. A number without a unit is not one, save
    `0`, as in Go's `time.ParseDuration`, which Consul and Nomad use.
    """
    text = text.strip(" \t")
    if len(text) > LONGEST_TEXT:
        return None
    if text in ("0", "+0", "-0"):
        return 0.0
    found = _GO.fullmatch(text)
    if found is None:
        return None
    total = sum(float(amount) * _GO_SECONDS[unit] for amount, unit in _GO_PART.findall(found[2]))
    return -total if found[1] == "-" else total


def iso_duration(text: str) -> float | None:
    """Seconds of an ISO 8601 duration (`PT30S`, `PT1M30S`, `P1DT2H`), or None. Months and years are no hold."""
    text = text.strip(" \t")
    found = _ISO.fullmatch(text.upper()) if len(text) <= LONGEST_TEXT else None
    if found is None:
        return None
    parts = zip(found.groups()[1:], _ISO_SECONDS, strict=True)
    total = sum(float(amount.replace(",", ".")) * unit for amount, unit in parts if amount)
    return -total if found[1] == "-" else total


def seconds(text: str, unit: Unit) -> float | None:
    """Seconds of a wish written in `unit`, always finite, or None when it is malformed."""
    if unit == "duration":
        return go_duration(text)
    if unit == "iso":
        return iso_duration(text)
    value = number(text)
    return value / 1000 if value is not None and unit == "ms" else value


def render(wait: float, unit: Unit) -> str:
    """A wait of `wait` seconds as text in `unit`, rounded down to what the unit can say."""
    if unit == "s":
        return str(int(wait + _HAIR))
    millis = int(wait * 1000 + _HAIR)
    if unit == "ms":
        return str(millis)
    if unit == "iso":
        return f"PT{millis // 1000}.{millis % 1000:03}S" if millis % 1000 else f"PT{millis // 1000}S"
    return f"{millis}ms" if millis % 1000 else f"{millis // 1000}s"

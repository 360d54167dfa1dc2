"""Numbers and answers in the words of an explanation. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from gateway.explain.model import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.explain.secrets import Mask
    from gateway.pipeline import HeaderList

_SHOWN = 48  # characters of a body in a sentence
UNITS = {"s": "seconds", "ms": "milliseconds", "duration": "1m30s", "iso": "PT1M30S"}  # of a wish
_PERIODS = {1.0: "s", 60.0: "min", 3600.0: "hour", 86400.0: "day"}


def seconds(value: float) -> str:
    """A time in seconds with at most three decimals: numbers of a sum can be compared by eye."""
    return "for ever" if value == float("inf") else f"{round(value, 3):g} s"


def rate_text(rate: tuple[float, float]) -> str:
    """A rate as a person would write it: "60/min"."""
    count, period = rate
    return f"{count:.12g}/{_PERIODS.get(period) or seconds(period)}"


def listed(names: Iterable[str]) -> str:
    """Names as a sentence lists them: a, b or c."""
    *most, last = (*names,) or ("nothing",)
    return f"{', '.join(most)} or {last}" if most else last


def fields(headers: HeaderList, mask: Mask) -> str:
    """Header fields as a sentence goes on with them."""
    return "".join(f", {mask.field(f'{name.decode()}: {value.decode()}')}" for name, value in headers)


def told(answer: Answer) -> str:
    """An answer in a few words: status, what kind of body, the body itself when it is short."""
    slug = slug_of(answer)
    if slug is not None:
        what = slug
    elif not answer.body:
        what = "no body"
    else:
        body = " ".join(answer.body.split())
        what = body if len(body) <= _SHOWN else body[: _SHOWN - 2] + ".."
    extra = [f"{name}: {answer.header(name)}" for name in ("Retry-After", "Connection") if answer.header(name)]
    return ", ".join((f"{answer.status} {answer.reason} ({what})", *extra))


def problem_of(answer: Answer) -> dict[str, object]:
    """The problem document of an answer (RFC 9457), {} if it is none."""
    if answer.header("Content-Type") != "application/problem+json":
        return {}
    found = orjson.loads(answer.body or b"{}")
    return found if isinstance(found, dict) else {}


def slug_of(answer: Answer) -> str | None:
    """The reason of a refusal: the last part of its document's `type`."""
    kind = problem_of(answer).get("type")
    return kind.rpartition(":")[2] if isinstance(kind, str) else None


def hidden(answer: Answer | None, call_id: str, mask: Mask) -> Answer | None:
    """An answer as it may be shown: no secret, and no id of a call that never was."""
    if answer is None:
        return None
    fields = (mask.field(f"{name}: {value}").partition(": ") for name, value in answer.headers)
    kept = tuple((name, value) for name, _, value in fields if name != "Date")
    return replace(answer, headers=kept, body=mask.text(answer.body.replace(call_id, "<call id>")))

"""`python -m gateway.admin.draw`: plots for the dashboard, in a process of their own: a line of JSON in, a line of JSON
out, until the input ends. What is asked is {"figures": [{"kind", "title", "labels", "series", "unit"}, ..]}.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import orjson
from markupsafe import Markup

from gateway.past import charts

MOST_FIGURES, MOST_SERIES, MOST_LABELS, MOST_TEXT = 8, 8, 1000, 200


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def _seconds(value: float) -> str:
    if value == 0:
        return "0"
    if value < 0.001:
        return f"{value * 1e6:.3g} us"
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _share(value: float) -> str:
    return f"{value * 100:.3g} %"


KINDS = {"lines": charts.lines, "bars": charts.bars}
UNITS: dict[str, charts.Unit] = {"count": _count, "seconds": _seconds, "share": _share}


def main() -> None:
    """Answers line by line."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(orjson.dumps(answer(line), option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()


def answer(line: bytes) -> dict[str, object]:
    """The figures as HTML, or what is wrong with what was asked."""
    try:
        asked = orjson.loads(line)
        figures = asked["figures"]
        if not isinstance(figures, list) or len(figures) > MOST_FIGURES:
            raise ValueError(f"figures: is no list of at most {MOST_FIGURES}")
        return {"html": "".join([figure(one) for one in figures])}
    except (ValueError, KeyError, TypeError, ArithmeticError) as error:  # the last: numbers that fit no axis
        return {"error": f"the plot cannot be drawn: {error}; ask as the dashboard does"}


def figure(asked: Mapping[str, Any]) -> Markup:
    """One plot. Raises ValueError, KeyError, TypeError."""
    labels, series = [_text(each) for each in asked["labels"]], [_series(each) for each in asked["series"]]
    if len(labels) > MOST_LABELS or len(series) > MOST_SERIES:
        raise ValueError(f"more than {MOST_LABELS} labels or {MOST_SERIES} series")
    return KINDS[asked["kind"]](_text(asked["title"]), labels, series, UNITS[asked["unit"]])


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise ValueError("a text is none, or too long")
    return value


def _series(asked: Any) -> tuple[str, list[float | None]]:
    name, values = asked
    if len(values) > MOST_LABELS or not all(value is None or type(value) in (int, float) for value in values):
        raise ValueError("a series has other things than numbers, or too many")
    return _text(name), values


if __name__ == "__main__":
    main()

"""Lines of an explanation: a label and its text, aligned and wrapped. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

WIDTH = 100
_LABEL = 12


def rows(pairs: Iterable[tuple[str, str]], label: int = _LABEL) -> Iterator[str]:
    """A label and its text, aligned and wrapped; an empty label continues the one above."""
    for name, text in pairs:
        if len(name) >= label:
            yield f"  {name}"
            name = ""
        yield from textwrap.wrap(
            text or "-",
            WIDTH,
            initial_indent=f"  {name:<{label}}",
            subsequent_indent=" " * (label + 2),
            break_on_hyphens=False,
        )

"""Help for the person who mistyped a word of a hold policy. Belongs here: suggestions and the shared phrases
of error texts. Runs at load time only.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean `x`?` for the nearest known word, or an empty string."""
    near = get_close_matches(word.lower(), list(known), n=1)
    return f", did you mean `{near[0]}`?" if near else ""


def shown(text: str) -> str:
    """A text as an error names it: on one line, and not longer than helps."""
    line = text.replace("\r", "\\r").replace("\n", "\\n")
    return f"`{line}`" if len(line) <= 100 else f"`{line[:97]}...`"

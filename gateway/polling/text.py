"""What a person sees of a poll: numbers with units, and foreign text made safe for a terminal."""

from __future__ import annotations

import orjson

SHOWN_CHARS = 200


def seconds(value: float) -> str:
    """A time for reading, under a second in milliseconds."""
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def show(item: object) -> str:
    """One item on one line of a terminal: compact, shortened, nothing that could steer the terminal."""
    return printable(item if isinstance(item, str) else orjson.dumps(item).decode())


def printable(text: str) -> str:
    """The text without control characters, at most SHOWN_CHARS long."""
    short = text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 2] + ".."
    return "".join(char if char.isprintable() else " " for char in short)

"""Path templates: what a part of one stands for. A part is plain text, `{x}`, or plain text around one `{x}`; the last
may be `**`. Pure; whether a template is well written is for `config.texts` to say.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

TAIL: Final = "**"
_CAPTURE: Final = re.compile(r"([^{}]*)\{([^{}]*)\}([^{}]*)")


class Capture(NamedTuple):
    """A part that stands for any text between `before` and `after`, which is never empty."""

    before: str
    name: str
    after: str


def capture(part: str) -> Capture | None:
    """What a part captures, None for plain text and for `**`."""
    match = _CAPTURE.fullmatch(part)
    return Capture(*match.groups()) if match is not None else None


def parts_of(template: str) -> list[str]:
    return template.split("/")[1:]

"""The words of a filter, with where each of them stands, and the error that points at one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.telemetry.record import clean

MAX_LENGTH = 4096  # characters of a filter
_ROOM = 60  # characters of it shown on each side of what is wrong

_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<sign><=|>=|!=|<>|==|!~|[=<>~(),])
      | (?P<word>[^\s"'()=<>~,!]+)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


class WhereError(ValueError):
    """A filter that is refused: what is wrong; what to write instead, and a caret below the place."""

    def __init__(self, message: str, expression: str, position: int) -> None:
        before = clean(expression[max(position - _ROOM, 0) : position])
        line = before + clean(expression[position : position + _ROOM])
        super().__init__(f"where: {message}\n  {line}\n  {' ' * len(before)}^")


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a text in quotes, a sign, or the end."""

    kind: str
    text: str
    position: int

    @property
    def keyword(self) -> str:
        """The word in lower case; nothing for what is in quotes, which is never a keyword."""
        return self.text.lower() if self.kind == "word" else ""


def tokens(expression: str) -> Iterator[Token]:
    """The tokens of a filter, an end at last."""
    if len(expression) > MAX_LENGTH:
        raise WhereError(f"a filter has at most {MAX_LENGTH} characters; write a shorter one", expression, MAX_LENGTH)
    strange = next((at for at, character in enumerate(expression) if "\ud800" <= character <= "\udfff"), None)
    if strange is not None:
        raise WhereError("has bytes that are no UTF-8; write text", expression, strange)
    position = 0
    while position < len(expression):
        found = _TOKEN.match(expression, position)
        if found is None:
            raise WhereError(_strange(expression[position]), expression, position)
        kind, text = str(found.lastgroup), found[0]
        if kind != "space":
            yield Token(kind, _ESCAPED.sub(r"\1", text[1:-1]) if kind == "text" else text, position)
        position = found.end()
    yield Token("end", "", position)


def _strange(character: str) -> str:
    if character in "\"'":
        return f"a text is not closed; write {character} at its end"
    return "'!' stands alone; write !=, !~ or not"

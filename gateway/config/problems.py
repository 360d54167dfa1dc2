"""What is wrong with a configuration, as values: one line a problem, all of them in one error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right: `FILE: KEY.PATH: what is wrong; what to write instead`."""

    file: str
    key_path: str
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.key_path}" if self.key_path else self.file
        return f"{where}: {self.what}; {self.remedy}" if self.remedy else f"{where}: {self.what}"


class ConfigError(Exception):
    """A configuration that cannot be used. Its text is every problem, one a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def problem(file: str, key_path: str, text: str) -> Problem:
    """A Problem from the text of a parser's error, "what is wrong; what to write instead"."""
    what, _, remedy = text.partition("; ")
    return Problem(file, key_path, what, remedy)


def key_path(parts: Iterable[object]) -> str:
    """A dotted TOML key path: `route[0].hold.refusals."4 2".body`; keys that are not bare are quoted."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        key = str(part) if _BARE.fullmatch(str(part)) else ascii(str(part))
        path = f"{path}.{key}" if path else key
    return path


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy that names the closest known word, or all of them when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:100], names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"write one of: {', '.join(names)}" if names else "there is none yet"

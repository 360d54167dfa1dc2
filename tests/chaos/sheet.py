"""What a case writes down: checks, each with what was wanted and what was seen, and figures that have no bar.
Every line is printed at once, so that a long case shows where it is.
"""

from __future__ import annotations

from collections.abc import Callable

import click


class Sheet:
    """One case's findings. `failed` and `checks` count; without `timed` no time limit is asserted (pytest)."""

    def __init__(self, say: Callable[[str], None] = click.echo, timed: bool = True) -> None:
        self.failed: list[str] = []
        self.checks = 0
        self._say = say
        self._timed = timed

    def check(self, what: str, seen: object, ok: bool, wanted: str) -> None:
        """A promise: kept or not. `seen` should explain a failure by itself, such as a count of every status."""
        self.checks += 1
        line = f"  {'ok  ' if ok else 'FAIL'}  {what}: {seen} (wanted {wanted})"
        if not ok:
            self.failed.append(line.strip())
        self._say(line)

    def within(self, what: str, seconds: float | None, limit: float) -> None:
        """A promise about time; None: it did not come about while the case waited."""
        seen = "never" if seconds is None else f"{seconds:.3f} s" if seconds < 1 else f"{seconds:.2f} s"
        if self._timed or seconds is None:
            self.check(what, seen, seconds is not None and seconds <= limit, f"at most {limit:g} s")
        else:
            self.note(what, seen)

    def note(self, what: str, figure: object) -> None:
        """A figure worth knowing that is no promise."""
        self._say(f"        {what}: {figure}")

    def step(self, what: str) -> None:
        """What the case is about to do, before it takes long."""
        self._say(f"  ..    {what}")

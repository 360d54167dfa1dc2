"""The admission of a call as a flat tuple of steps, and the values a step may end it with.
A step is a plain function: None lets the call on, a Refusal or a Reply ends it, a Future lets it wait.
Expected denials are returned, never raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from gateway.outcome import Outcome

if TYPE_CHECKING:
    from gateway.call import Call

HeaderList = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value saying no. `slug` names the reason for good (`type` of the problem document), `detail` never
    echoes input. `retry_after` is in seconds. `close` ends the connection after the answer."""

    outcome: Outcome
    status: int
    slug: str
    detail: str
    headers: HeaderList = ()
    retry_after: int | None = None
    close: bool = False

    def later(self, seconds: int) -> Refusal:
        """The same with another time to come back: every client of a flood gets one, and this is thrice as quick as
        `dataclasses.replace`."""
        return Refusal(self.outcome, self.status, self.slug, self.detail, self.headers, seconds, self.close)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer made by the gateway that is not an error: a blank, a preflight."""

    outcome: Outcome
    status: int
    headers: HeaderList = ()
    body: bytes = b""
    close: bool = False


Verdict: TypeAlias = "Refusal | Reply | None"
Step: TypeAlias = "Callable[[Call], Verdict | asyncio.Future[Verdict]]"


def run(call: Call, steps: tuple[Step, ...], first: int) -> tuple[Verdict | asyncio.Future[Verdict], int]:
    """Runs steps from index `first` until one does not let the call on.

    Returns its verdict and the index to resume at after a Future; (None, len(steps)) when all let it on.
    """
    for index in range(first, len(steps)):
        verdict = steps[index](call)
        if verdict is not None:
            return verdict, index + 1
    return None, len(steps)

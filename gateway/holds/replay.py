"""What may be done to a poll without losing what its answer carries: a row for each replay class of a dialect. Whoever
sends again, ends early or shares asks here (docs/holds.md has the same table); nothing else knows a class by name.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Replay(NamedTuple):
    """The rights of one class. `again`: it may be sent once more although the upstream may have seen it. `early`: we
    may end it before its time, with "no news" or for another poll. `shared`: one answer may serve all who ask the same.
    `fresh`: it goes on a connection that the upstream cannot have begun to close."""

    again: bool
    early: bool
    shared: bool
    fresh: bool


_LOSES: Final = Replay(again=False, early=False, shared=False, fresh=True)

REPLAY: dict[str, Replay] = {
    "cursor": Replay(again=True, early=True, shared=True, fresh=False),
    "cursor-exclusive": Replay(again=False, early=True, shared=False, fresh=True),
    "until-ack": Replay(again=True, early=True, shared=False, fresh=False),
    "lease": _LOSES,
    "destructive": _LOSES,
    "session": _LOSES,
    "never": _LOSES,
}
EARLY = tuple(name for name, rights in REPLAY.items() if rights.early)

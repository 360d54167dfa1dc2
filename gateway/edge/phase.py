"""Where a client's connection stands, and who frames the answer on it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    IDLE = 0  # between requests
    HEAD = 1  # part of a head has come
    HELD_BODY = 2  # a call is being admitted, its body is not read yet
    WHOLE_BODY = 3  # the body is read to its end before the call is admitted
    BODY = 4  # the body is passing upstream
    CALL = 5  # the request is complete, a call is under way
    LINGERING = 6  # answered; what still comes is thrown away
    CLOSED = 7  # nothing is read here any more: it is closing, or a tunnel reads


# As globals, for the reason in `outcome`.
IDLE: Final[Phase] = Phase.IDLE
HEAD: Final[Phase] = Phase.HEAD
HELD_BODY: Final[Phase] = Phase.HELD_BODY
WHOLE_BODY: Final[Phase] = Phase.WHOLE_BODY
BODY: Final[Phase] = Phase.BODY
CALL: Final[Phase] = Phase.CALL
LINGERING: Final[Phase] = Phase.LINGERING
CLOSED: Final[Phase] = Phase.CLOSED


class Chunks(IntEnum):
    """Who divides the answer that is under way into chunks."""

    NONE = 0
    OURS = 1  # a chunk for every piece that comes
    THEIRS = 2  # the upstream: its chunks go on as they are


NO_CHUNKS: Final[Chunks] = Chunks.NONE
OURS: Final[Chunks] = Chunks.OURS
THEIRS: Final[Chunks] = Chunks.THEIRS

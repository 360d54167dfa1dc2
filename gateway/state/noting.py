"""Whether a process shares notes with others: where there are other workers, and memory for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.machine.part import Part
    from gateway.state.notes import Notes

logger = logging.getLogger("gateway")


def notes_of(part: Part) -> Notes | None:
    """Those of the machine. Without them each worker remembers for itself, which an operator is told."""
    if part.directory is None or part.workers == 1:
        return None
    from gateway.state.notes import Notes

    try:
        return Notes(part.directory / "notes")
    except OSError as error:
        logger.warning(
            "workers cannot share what they remember of sessions (%s); make room in /dev/shm, or write workers = 1",
            error.strerror,
        )
        return None

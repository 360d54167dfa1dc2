"""File descriptors: every held poll takes two. Raises the soft limit to the hard one and plans what fits into it
before anything listens: a process that runs out of them in the middle of its work would fail those it already serves.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

LEAST = 128  # below this not even a handful of polls fit beside listeners, log and admin
HEADROOM = 20  # one of so many descriptors is kept back, within these bounds
HEADROOM_LEAST, HEADROOM_MOST = 64, 1024


class DescriptorError(OSError):
    """Too few file descriptors; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What fits: `connections` of clients, each with one to its upstream, beside the `headroom` for all else."""

    limit: int
    headroom: int
    connections: int

    def __str__(self) -> str:
        return (
            f"{self.limit} files may be open: {self.headroom} are kept for listeners, log, admin and resolver, and "
            f"every connection may need a second one to its upstream, so {self.connections} connections are served"
        )


def raise_limit() -> int:
    """Raises the limit of open files as far as it goes and returns it. Raises DescriptorError when it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else max(soft, 1_048_576)
    if soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        except (OSError, ValueError):
            pass  # a container may forbid it; what there is must do
    if soft < LEAST:
        raise DescriptorError(
            f"only {soft} files may be open at once and every held poll takes two; raise it with: ulimit -n 65536"
        )
    return soft


def share(limit: int, wanted: int | None, workers: int = 1) -> Descriptors:
    """How many connections fit into `limit` descriptors of one process; `wanted` None takes as many as fit, a number is
    divided among the workers.

    Raises DescriptorError when an explicit number does not fit.
    """
    headroom = min(max(limit // HEADROOM, HEADROOM_LEAST), HEADROOM_MOST)
    most = (limit - headroom) // 2
    each = most if wanted is None else -(-wanted // workers)
    if wanted is not None and each > most:
        divided = f", {each} for each of {workers} workers," if workers > 1 else ""
        raise DescriptorError(
            f"server.max_connections = {wanted}{divided} needs {2 * each + headroom} open files (two each, and "
            f"{headroom} for the rest), but only {limit} are allowed; write {most * workers} or less, or raise it "
            f"with: ulimit -n {2 * each + HEADROOM_MOST}"
        )
    return Descriptors(limit, headroom, each)

"""File descriptors: every held poll takes two. Raises the soft limit to the hard one; without room nothing starts."""

from __future__ import annotations

import resource

LEAST = 128  # below this not even a handful of polls fit beside listeners, log and admin


class DescriptorError(OSError):
    """Too few file descriptors; the text is one sentence for the operator."""


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

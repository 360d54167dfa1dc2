"""What a process takes, as the system counts it: also of one that does not answer."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """Processor seconds since its start, and bytes of resident memory; None where the system does not tell."""

    cpu: float | None = None
    memory: int | None = None


def usage(pid: int | None) -> Usage:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        return Usage(
            (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"), int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
        )
    except (OSError, ValueError, IndexError):
        return Usage()

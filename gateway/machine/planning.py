"""What a machine of workers has room for, as it is told at start: descriptors and memory of a worker and of all of
them, and the local ports that all share. Arithmetic and sentences only; each shows what it was made of.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.settings import Config
from gateway.descriptors import Descriptors

KIB_A_POLL = 4  # that is parked, on plain TCP: measured 3.4 with everything on that gateway.example.toml has
KIB_A_POLL_TLS = 23  # more, for each client connection in TLS (docs/operations.md)
MIB_A_PROCESS = 75  # that holds nothing; a third of it is shared with the others
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def cores() -> int:
    """How many this process may use: those of its mask, and no more than its cgroup pays for."""
    return max(1, math.ceil(min(len(os.sched_getaffinity(0)), _quota())))


def _quota() -> float:
    """Cores a cgroup (v2) pays for, of this process or of one that contains it."""
    try:
        group = CGROUPS / OWN_CGROUP.read_text("utf-8").rpartition("0::/")[2].strip()
    except OSError:
        return math.inf
    return min(_paid(each / "cpu.max") for each in (group, *group.parents))


def _paid(file: Path) -> float:
    """What stands in a `cpu.max`: how much of which time, or "max"."""
    try:
        most, period = file.read_text("ascii").split()
        return math.inf if most == "max" else int(most) / int(period)
    except (OSError, ValueError):
        return math.inf


def planned(config: Config, workers: int, files: Descriptors) -> Iterator[str]:
    """Sentences for the operator."""
    yield f"{workers} workers, each: {files}; {workers * files.connections} in all"
    yield _memory(config, workers, files.connections)
    yield from _ports(workers * files.connections)


def _memory(config: Config, workers: int, connections: int) -> str:
    each = KIB_A_POLL + (KIB_A_POLL_TLS if config.server.tls else 0)
    polls = connections * each // 1024
    tls = " in TLS" if config.server.tls else ""
    return (
        f"a parked poll{tls} takes about {each} KiB: {connections} are {polls} MiB a worker, {workers * polls} MiB in "
        f"all, beside {MIB_A_PROCESS} MiB for each of {workers + 1} processes"
    )


def _ports(connections: int) -> Iterator[str]:
    """Each connection to one address of an upstream takes a local port, whichever worker makes it."""
    try:
        low, high = map(int, PORTS.read_text("ascii").split())
    except (OSError, ValueError):
        return
    ports = high - low + 1
    wanting = f", of {connections} there may be: list more endpoints, or widen it" if connections > ports else ""
    yield (
        f"all workers together have at most {ports} connections to one address of an upstream (local ports "
        f"{low}-{high}, net.ipv4.ip_local_port_range){wanting}"
    )

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

KIB_A_POLL = 5  # that is parked, on plain TCP; README.md says how it is measured
KIB_A_POLL_TLS = 23  # more, for each client connection in TLS
MIB_A_WORKER = 75  # that holds nothing
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def cores() -> int:
    """How many this process may use: those of its mask, and no more than its cgroup pays for."""
    return max(1, min(len(os.sched_getaffinity(0)), math.ceil(_quota())))


def _quota() -> float:
    """Cores a cgroup (v2) pays for, of this process or of one that contains it."""
    try:
        own = Path("/proc/self/cgroup").read_text("ascii").rpartition("0::/")[2].strip()
    except OSError:
        return math.inf
    root = Path("/sys/fs/cgroup")
    return min((_paid(group / "cpu.max") for group in (root / own, *(root / own).parents)), default=math.inf)


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
    yield from _ports(config, workers * files.connections)


def _memory(config: Config, workers: int, connections: int) -> str:
    each = KIB_A_POLL + (KIB_A_POLL_TLS if config.server.tls else 0)
    worker = MIB_A_WORKER + connections * each // 1024
    tls = " in TLS" if config.server.tls else ""
    return (
        f"{connections} parked polls{tls} of about {each} KiB are {connections * each // 1024} MiB a worker, which "
        f"takes {MIB_A_WORKER} MiB without any: {worker} MiB a worker, {workers * worker} MiB in all"
    )


def _ports(config: Config, connections: int) -> Iterator[str]:
    """Each connection to one address of an upstream takes a local port, whichever worker makes it."""
    try:
        low, high = map(int, PORTS.read_text("ascii").split())
    except (OSError, ValueError):
        return
    ports = high - low + 1
    if connections > ports:
        yield (
            f"at most {ports} connections go to one address of an upstream (local ports {low}-{high}), of "
            f"{connections} there may be; list more endpoints, or widen net.ipv4.ip_local_port_range"
        )

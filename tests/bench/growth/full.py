"""What grows: the gateway with all policies of the bench, and traces and metrics that a collector takes."""

from __future__ import annotations

from pathlib import Path

from tests.bench.proxies import LIMITS, SEEN, Ports, _run

KIND = "watched"  # the stage that has a collector
# Its file does not become Parquet meanwhile: that is so much for each record, whenever a file is full, and would be
# measured of whoever has that just then.
LOG = 'rotate = { size = "16GiB", disk = "64GiB" }'
# A bucket is full again at once, not after 86 s, so it is forgotten sooner.
QUICK = LIMITS.replace("1000/day", "1000/s")


def full(ports: Ports, directory: Path) -> list[str]:
    """The command."""
    now = ["signed-in", "fair", "account"]
    return _run(ports, directory, QUICK + SEEN.format(collector=ports.collector), now, [*now, "held"], LOG)

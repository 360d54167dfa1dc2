"""What grows: the gateway with all policies of the bench, and traces and metrics that a collector takes."""

from __future__ import annotations

from pathlib import Path

from tests.bench.proxies import LIMITS, SEEN, Ports, _run

KIND = "watched"  # the stage that has a collector


def full(ports: Ports, directory: Path) -> list[str]:
    """The command."""
    now = ["signed-in", "fair", "account"]
    return _run(ports, directory, LIMITS + SEEN.format(collector=ports.collector), now, [*now, "held"])

"""docs/deploy.md: every supervisor it shows waits longer than the configuration beside it takes to stop."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from gateway.config.durations import parse_duration

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text("utf-8")


def waits(server: dict[str, Any]) -> tuple[float, float]:
    """How long a stop takes, and how long the configuration believes the supervisor waits."""
    takes = parse_duration(server.get("shutdown_delay", "0s")) + parse_duration(server["drain"])
    return takes, parse_duration(server["stop_grace"])


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_docker_waits_longer_than_the_drain() -> None:
    commands = [line for text in blocks("sh") for line in text.replace("\\\n", " ").splitlines()]
    runs = [line for line in commands if line.startswith("docker run")]
    shipped, example = ("deploy/gateway.toml", "gateway.example.toml")
    assert [example in line for line in runs] == [False, True]
    for line, file in zip(runs, (shipped, example), strict=True):
        takes, promised = waits(tomllib.loads((ROOT / file).read_text("utf-8"))["server"])
        found = re.search(r"--stop-timeout (\d+) ", line)
        assert found is not None
        assert takes < promised <= float(found[1])
        assert "--read-only --cap-drop ALL --security-opt no-new-privileges" in line
    assert f"stop_grace_period: {found[1]}s" in PAGE


def test_kubernetes_waits_longer_than_the_drain() -> None:
    (pod,), (configuration,) = blocks("yaml"), blocks("toml")
    found = re.search(r"terminationGracePeriodSeconds: (\d+)\n", pod)
    takes, promised = waits(tomllib.loads(configuration)["server"])
    assert found is not None
    assert takes < promised <= float(found[1])


def test_systemd_waits_as_long_as_the_page_says() -> None:
    unit = (ROOT / "deploy" / "systemd" / "longpoll-gateway.service").read_text("utf-8")
    found = re.search(r"`(TimeoutStopSec=.*?)` is longer", PAGE)
    assert found is not None
    assert f"\n{found[1]}\n" in unit

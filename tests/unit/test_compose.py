"""deploy/compose.yaml: what it mounts is there and is a sound configuration, its parts agree on times, addresses and
names, and every container may write nothing. tests/real/test_compose.py starts what it describes.
"""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.checking import check_file
from gateway.config.durations import parse_duration
from tests.kit.dockerfile import read_stages

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
WHOLE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = WHOLE["services"]
GATEWAYS = [name for name in SERVICES if name.startswith("gateway-")]
CONFIG = DEPLOY / "compose" / "gateway" / "gateway.toml"
SERVER = tomllib.loads(CONFIG.read_text("utf-8"))["server"]
FRONT = (DEPLOY / "compose" / "front" / "haproxy.cfg").read_text("utf-8")


def test_there_are_two_gateways_and_they_are_the_same() -> None:
    assert len(GATEWAYS) == 2
    assert SERVICES[GATEWAYS[0]] == SERVICES[GATEWAYS[1]]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_write_nothing_and_become_nobody_else(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service and "cap_add" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_only_read(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        source, target, mode = volume.split(":")
        assert (DEPLOY / source).is_dir() and target.startswith("/") and mode == "ro"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_is_there_and_has_a_health_check_if_that_is_waited_for(name: str) -> None:
    image = bool(read_stages(DEPLOY / "Dockerfile")[-1].all("HEALTHCHECK"))
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        checked = "healthcheck" in SERVICES[other] or (SERVICES[other]["image"] == "longpoll-gateway" and image)
        assert checked or wanted["condition"] == "service_started"


def test_their_configuration_is_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SERVICES[GATEWAYS[0]]["environment"]:
        monkeypatch.setenv(name, "a secret that is long enough for the algorithm it is for, and nobody else's")
    lines, sound = check_file(CONFIG)
    assert sound, lines
    assert not [line for line in lines if line.startswith(("notice", "warning"))]


def test_docker_waits_longer_than_a_gateway_takes_to_stop() -> None:
    takes = parse_duration(SERVER["shutdown_delay"]) + parse_duration(SERVER["drain"])
    for name in GATEWAYS:
        assert takes < parse_duration(SERVER["stop_grace"]) <= parse_duration(SERVICES[name]["stop_grace_period"])


def test_the_front_is_believed_and_nobody_beyond_its_network() -> None:
    (subnet,) = (one["subnet"] for one in WHOLE["networks"]["default"]["ipam"]["config"])
    assert SERVER["trusted_proxies"] == [str(ip_network(subnet))]
    assert "set-header X-Forwarded-For %[src]" in FRONT


def test_the_front_asks_each_gateway_whether_it_takes_calls_and_waits_as_long_as_they_believe() -> None:
    assert [f"server {name[-1]} {name}:8080" in FRONT for name in GATEWAYS] == [True, True]
    assert "uri /readyz" in FRONT and "check port 9090 inter 1s fall 1" in FRONT
    assert f"timeout server {SERVER['front']['idle_timeout']} " in FRONT
    assert parse_duration(SERVER["shutdown_delay"]) > 1 + 1, "it is seen before the listeners close"


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")
def test_haproxy_takes_the_fronts_configuration() -> None:
    command = ["haproxy", "-c", "-f", str(DEPLOY / "compose" / "front" / "haproxy.cfg")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_redis_throws_nothing_out_to_make_room() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert 'url        = "redis://redis:6379/0"' in CONFIG.read_text("utf-8")

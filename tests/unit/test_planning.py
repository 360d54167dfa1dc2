"""What is told of a machine's room at start: each sentence shows its arithmetic. And how many workers "auto" are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config import read_config
from gateway.config.settings import Config
from gateway.descriptors import DescriptorError, Descriptors, share
from gateway.machine import planning
from gateway.machine.planning import cores, planned
from tests.kit.machines import machine_config

FILES = Descriptors(limit=20000, headroom=1000, connections=9500)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "gateway.toml").write_text(machine_config(5000), "utf-8")
    return read_config(tmp_path / "gateway.toml")[0]


def said(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ports: str) -> list[str]:
    (tmp_path / "ports").write_text(ports)
    monkeypatch.setattr(planning, "PORTS", tmp_path / "ports")
    return list(planned(config, 2, FILES))


def test_descriptors_memory_and_ports(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files, memory, ports = said(config, monkeypatch, tmp_path, "32768\t60999\n")
    assert files.startswith("2 workers, each: 20000 files may be open: 1000 are kept")
    assert files.endswith("so 9500 connections are served; 19000 in all")
    assert memory == (
        "a parked poll takes about 4 KiB: 9500 are 37 MiB a worker, 74 MiB in all, beside 75 MiB for each of 3 "
        "processes"
    )
    assert ports == (
        "all workers together have at most 28232 connections to one address of an upstream (local ports 32768-60999, "
        "net.ipv4.ip_local_port_range)"
    )


def test_too_few_ports_are_told_of(config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    last = said(config, monkeypatch, tmp_path, "40000 49999")[-1]
    assert last.endswith("ip_local_port_range), of 19000 there may be: list more endpoints, or widen it")
    assert len(said(config, monkeypatch, tmp_path, "none")) == 2


def test_a_number_of_connections_is_divided_among_the_workers() -> None:
    assert share(20000, 10001, 2).connections == 5001
    assert share(20000, None, 2).connections == 9500
    with pytest.raises(DescriptorError) as error:
        share(1000, 2000, 2)
    assert error.value.args[0] == (
        "server.max_connections = 2000, 1000 for each of 2 workers, needs 2064 open files (two each, and 64 for the "
        "rest), but only 1000 are allowed; write 936 or less, or raise it with: ulimit -n 3024"
    )


@pytest.mark.parametrize(
    ("own", "outer", "expected"),
    [
        ("max 100000", "max 100000", 8),
        ("150000 100000", "max 100000", 2),
        ("max 100000", "50000 100000", 1),
        ("", "", 8),
    ],
)
def test_auto_is_no_more_than_the_cores_that_are_paid_for(
    own: str, outer: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inner = tmp_path / "fs" / "system.slice" / "gateway.service"
    inner.mkdir(parents=True)
    (inner / "cpu.max").write_text(own)
    (inner.parent / "cpu.max").write_text(outer)
    (tmp_path / "cgroup").write_text("0::/system.slice/gateway.service\n")
    monkeypatch.setattr(planning, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(planning, "OWN_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert cores() == expected


def test_auto_without_cgroups_is_the_mask(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(planning, "OWN_CGROUP", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5})
    assert cores() == 2

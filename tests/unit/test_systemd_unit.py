"""deploy/systemd: the units start what there is, wait longer than a drain takes, and systemd finds nothing wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config.durations import parse_duration
from tests.kit.dockerfile import read_stages

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "systemd" / "longpoll-gateway.service"
SOCKET = UNIT.with_suffix(".socket")
PROGRAM, CONFIG = "/opt/longpoll-gateway/bin/gateway", "/etc/longpoll-gateway/gateway.toml"


def all_of(key: str) -> list[str]:
    lines = [line.partition("=") for line in UNIT.read_text("utf-8").splitlines()]
    return [value for name, _, value in lines if name == key]


def one(key: str) -> str:
    (value,) = all_of(key)
    return value


def test_it_starts_what_the_image_starts_and_checks_it_before() -> None:
    command = read_stages(ROOT / "deploy" / "Dockerfile")[-1].one("CMD").exec_form
    assert one("ExecStart").split() == [PROGRAM, *(command or ())]
    assert one("ExecStartPre") == f"{PROGRAM} check {CONFIG}"


def test_a_reload_is_checked_before_it_is_asked_for() -> None:
    assert all_of("ExecReload") == [f"{PROGRAM} check {CONFIG}", "/bin/kill -HUP $MAINPID"]


def test_it_is_not_killed_while_it_drains() -> None:
    server = tomllib.loads((ROOT / "gateway.example.toml").read_text("utf-8"))["server"]
    needed = parse_duration(server.get("shutdown_delay", "0s")) + parse_duration(server["drain"])
    waits = parse_duration(one("TimeoutStopSec"))
    assert waits > needed
    assert waits >= parse_duration(server["stop_grace"]), "stop_grace promises check that nobody kills earlier"


def test_nobody_waits_for_a_signal_that_a_shell_swallowed() -> None:
    """The gateway speaks to systemd itself, and its supervisor is the one process that is signalled."""
    assert one("Type") == "notify"
    assert one("KillMode") == "mixed"
    assert all_of("KillSignal") == []


def test_a_worker_without_memory_ends_no_other() -> None:
    assert one("OOMPolicy") == "continue"


def test_the_socket_is_that_of_the_example() -> None:
    example = tomllib.loads((ROOT / "gateway.example.toml").read_text("utf-8"))
    streams = [line for line in SOCKET.read_text("utf-8").splitlines() if line.startswith("ListenStream=")]
    assert streams == [f"ListenStream={each}" for each in example["server"]["listen"]]


def test_descriptors_are_enough_for_one_upstream_full_of_polls() -> None:
    example = tomllib.loads((ROOT / "gateway.example.toml").read_text("utf-8"))
    assert int(one("LimitNOFILE")) > 2 * example["upstream"]["updates"]["max_held"]


def analyzed(folder: Path, *arguments: str, units: Sequence[Path] = (UNIT,), least: int = 0) -> tuple[int, str]:
    """Exit code and words of systemd-analyze about the units, whose program is one that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.split()[1]) < least:
        pytest.skip(f"systemd {least} can do it, this one is older")
    copies = [folder / unit.name for unit in units]
    for unit, copy in zip(units, copies, strict=True):
        copy.write_text(unit.read_text("utf-8").replace(PROGRAM, sys.executable), "utf-8")
    done = subprocess.run(["systemd-analyze", *arguments, *copies], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    code, said = analyzed(tmp_path, "verify", units=(UNIT, SOCKET))
    assert (code, [line for line in said.splitlines() if UNIT.stem in line]) == (0, [])


def test_systemd_finds_it_well_locked_up(tmp_path: Path) -> None:
    """An exposure of at most 2.0 of 10; what is left is the network, which a proxy needs."""
    code, said = analyzed(tmp_path, "security", "--offline=true", "--threshold=20", "--no-pager", least=250)
    assert code == 0, said.splitlines()[-1]

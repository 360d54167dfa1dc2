"""tests/install-debian-packages.sh on a machine whose apt, dpkg and user are made up: it installs what is missing
where it may, and never fails a run.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "install-debian-packages.sh"


class Machine:
    """`installed` are its packages; of `broken` ones an installation fails. `asked` are the calls of apt-get."""

    def __init__(self, folder: Path, installed: str, *, user: int = 0, broken: str = "none") -> None:
        self.folder = folder
        self.tool("dpkg-query", f'case " {installed} " in *" $4 "*) printf installed ;; *) exit 1 ;; esac')
        self.tool("id", f"echo {user}")
        self.tool("timeout", 'shift; exec "$@"')
        self.tool("systemctl", f'echo "systemctl $*" >> {folder}/asked')
        self.tool("apt-get", f'echo "$*" >> {folder}/asked; case "$*" in *" {broken}") exit 100 ;; esac')

    def tool(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, *packages: str) -> str:
        done = subprocess.run(
            ["/bin/sh", str(SCRIPT), *packages],
            env={"PATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    @property
    def asked(self) -> list[str]:
        """The word after the options, and the package."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            " ".join(word for word in line.split() if not word.startswith("-") and "::" not in word) for line in lines
        ]


def test_nothing_is_asked_when_all_is_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "prometheus jq")
    assert machine.run("prometheus", "jq") == ""
    assert machine.asked == []


def test_only_what_is_missing_is_installed_and_a_service_does_not_stay(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "jq")
    assert machine.run("chromium", "jq", "prometheus") == "Installing what some tests drive: chromium prometheus ..\n"
    assert machine.asked == [
        "update", "install chromium", "install prometheus", "systemctl disable prometheus.service"
    ]  # fmt: skip


def test_a_package_of_two_services_leaves_none_of_them_running(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "")
    machine.run("varnish", "jq")
    assert machine.asked[1:] == [
        "install varnish", "systemctl disable varnish.service varnishncsa.service", "install jq"
    ]  # fmt: skip


def test_what_cannot_be_installed_is_named_and_the_rest_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "", broken="chromium")
    said = machine.run("chromium", "jq").splitlines()
    assert said[1:] == ["chromium could not be installed: the tests that need it are skipped"]
    assert machine.asked == ["update", "install chromium", "install jq"]


def test_who_is_not_root_is_told_and_nothing_is_tried(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "jq", user=1000)
    assert machine.run("chromium", "jq") == "Not installed: chromium (apt-get install them, and their tests run too)\n"
    assert machine.asked == []


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-query"])
def test_on_a_system_without_apt_nothing_happens(tmp_path: Path, tool: str) -> None:
    machine = Machine(tmp_path, "")
    (tmp_path / tool).unlink()
    assert machine.run("chromium") == ""
    assert machine.asked == []

"""Which Python is taken where there are several, and what is said of one that was not built for speed."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gateway.interpreter import optimised

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("prefix", "configured", "found"),
    [
        ("/usr/local", "'--build=x86_64-linux-gnu' '--enable-optimizations' '--with-lto'", True),  # the images
        ("/usr", "'--enable-shared' '--prefix=/usr'", True),  # Debian's, which does not say so
        ("/root/.pyenv/versions/3.13.0", "'--prefix=/root/.pyenv/versions/3.13.0' '--enable-shared'", False),
        ("/usr/local", "", False),
        ("C:\\Python313", None, True),
    ],
)
def test_a_python_that_was_built_for_speed_is_known(
    monkeypatch: pytest.MonkeyPatch, prefix: str, configured: str | None, found: bool
) -> None:
    monkeypatch.setattr(sys, "base_prefix", prefix)
    monkeypatch.setattr(sysconfig, "get_config_var", {"CONFIG_ARGS": configured}.get)
    assert optimised() is found


def python(path: Path, new_enough: bool = True, makes: bool = True) -> Path:
    """A program that answers the Makefile as a Python does, and leaves its name where it is told to make a venv."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        f"  -c) exit {int(not new_enough)};;\n"
        f'  -m) mkdir -p "$3/bin" && echo {path.name} > "$3/bin/python"; exit {int(not makes)};;\n'
        "  *) echo Python;;\nesac\n"
    )
    path.chmod(0o755)
    return path


def chosen(tmp_path: Path, *arguments: str) -> tuple[str | None, str]:
    """Who made the virtual environment, and what was said."""
    made = tmp_path / "venv" / "bin" / "python"
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "MAKEFLAGS": ""}
    found = subprocess.run(
        ["make", "--no-print-directory", f"VENV={tmp_path / 'venv'}", *arguments, str(made)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return made.read_text().strip() if made.exists() else None, found.stdout + found.stderr


def test_the_newest_is_taken(tmp_path: Path) -> None:
    python(tmp_path / "bin" / "python3.12")
    python(tmp_path / "bin" / "python3.13")
    assert chosen(tmp_path)[0] == "python3.13"


def test_one_that_makes_no_virtual_environment_is_passed_over(tmp_path: Path) -> None:
    python(tmp_path / "bin" / "python3.13", makes=False)
    python(tmp_path / "bin" / "python3.12")
    made, said = chosen(tmp_path)
    assert made == "python3.12" and "python3.13 cannot make a virtual environment" in said


def test_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    named = python(tmp_path / "other" / "named")
    python(tmp_path / "bin" / "python3.13")
    assert chosen(tmp_path, f"PYTHON={named}")[0] == "named"


@pytest.mark.parametrize("there", [True, False])
def test_no_other_is_taken_in_the_place_of_the_one_that_is_named(tmp_path: Path, there: bool) -> None:
    named = python(tmp_path / "old", new_enough=False) if there else tmp_path / "none"
    made, said = chosen(tmp_path, f"PYTHON={named}")
    assert made is None and "no Python >= 3.11" in said

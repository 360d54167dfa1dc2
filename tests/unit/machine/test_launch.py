"""A worker whose process the system does not start: why, and what to do, is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.machine import launch
from gateway.machine.directory import make_directory
from gateway.machine.launch import LaunchError, Machine
from gateway.machine.workers import Workers

REMEDY = "install the gateway where its user may run it"


def workers(folder: Path) -> Workers:
    async def gone(life: object) -> None:
        pass

    return Workers(Machine(folder / "gateway.toml", 1, {}, make_directory(folder)), gone)


@pytest.mark.parametrize(("there", "reason"), [(False, "no such file or directory"), (True, "permission denied")])
async def test_a_program_that_cannot_be_started_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, reason: str
) -> None:
    program = tmp_path / "python"
    if there:
        program.write_text("not executable")
    monkeypatch.setattr(launch, "COMMAND", (str(program),))
    with pytest.raises(LaunchError) as found:
        await workers(tmp_path).start()
    assert found.value.strerror == f"a worker cannot be started: {program}: {reason}; {REMEDY}"

"""What the comments of the policy files say: each names its policy, says how to attach it, and shows a command with
lines of its result. The command is run here on a configuration that attaches the policy as the comment says.
"""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path

import pytest

from gateway.cli import main
from tests.golden.policies.shelf import NAMES, Trial, attach, configured, text, trials

TRIALS = [(name, trial) for name in NAMES for trial in trials(name)]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_the_one_policy_it_is_named_after(name: str) -> None:
    """That is how a route finds it, and how those that no route uses are never read."""
    tables = tomllib.loads(text(name))
    assert list(tables) == ["policy"]
    assert list(tables["policy"]) == [name]
    assert list(tables["policy"][name]) == ["hold"]
    assert text(name).startswith(f"# {name}: ")
    assert attach(name).startswith('path = "/')


@pytest.mark.parametrize("name", NAMES)
def test_every_key_that_decides_is_written_out(name: str) -> None:
    """Defaults may become more careful; what a protocol needs must not change with them."""
    needed = {"when", "ask", "absent", "zero", "negative", "min", "max", "over_max", "rewrite", "jitter", "margin"}
    needed |= {"client_timeout", "empty", "idle", "replay", "key", "concurrency"}
    assert needed - set(tomllib.loads(text(name))["policy"][name]["hold"]) == set()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_file_explains_can_be_read_without_scrolling(name: str) -> None:
    assert [line for line in text(name).splitlines() if line.startswith("#") and len(line) > 120] == []


@pytest.mark.parametrize("name", NAMES)
def test_a_file_shows_a_command_to_try(name: str) -> None:
    assert all(trial.lines for trial in trials(name))
    assert trials(name)
    assert text(name).rstrip().splitlines()[-1].lstrip("# ") in trials(name)[-1].lines, "it stands at the end"


@pytest.mark.parametrize(("name", "trial"), TRIALS, ids=[name for name, _ in TRIALS])
def test_the_command_prints_what_the_file_says(
    name: str, trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(configured(name))
    with pytest.raises(SystemExit):
        main(["explain", "-c", str(file), "--no-live", *shlex.split(trial.command)])
    output = capsys.readouterr().out
    printed = " ".join(output.split())  # a long line is wrapped
    assert [line for line in trial.lines if " ".join(line.split()) not in printed] == [], output

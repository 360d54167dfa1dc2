"""deploy/Dockerfile as a linter would read it: what it copies exists, who it runs as is nobody, and what it starts is
there. tests/real/test_image.py does its steps.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.cli import cli, main
from tests.kit.dockerfile import ignored, read_rules, read_stages

ROOT = Path(__file__).resolve().parents[2]
BUILD, FINAL = read_stages(ROOT / "deploy" / "Dockerfile")
RULES = read_rules(ROOT / ".dockerignore")


OUTSIDE = [
    ".git/HEAD",
    ".venv/bin/python",
    "gateway.toml",
    "tests/conftest.py",
    "var/calls.jsonl",
    "deploy/environment",
]
MADE = ["gateway/__pycache__/cli.pyc", "gateway/edge/__pycache__/x.pyc"]


@pytest.mark.parametrize("name", [*OUTSIDE, *MADE])
def test_nothing_beside_the_sources_is_sent_to_the_builder(name: str) -> None:
    assert ignored(name, RULES)


def test_everything_that_is_copied_exists_and_is_sent_to_the_builder() -> None:
    sources = [source for stage in (BUILD, FINAL) for step in stage.all("COPY") if not step.flags
               for source in step.words[:-1]]  # fmt: skip
    files = [one for source in sources for one in (ROOT / source, *(ROOT / source).rglob("*"))]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    lost = [one for one in files if ignored(one.relative_to(ROOT).as_posix(), RULES)]
    assert [one for one in lost if "__pycache__" not in one.parts] == []


def test_what_is_copied_from_a_stage_names_that_stage() -> None:
    assert [step.flags for step in FINAL.all("COPY") if step.flags] == [[f"--from={BUILD.name}"]]


def test_it_runs_as_a_number_that_is_not_root() -> None:
    """A number, for Kubernetes cannot tell that a name is not root's."""
    user, group = FINAL.one("USER").text.split(":")
    assert int(user) > 0
    assert int(group) > 0
    last = max(number for number, step in enumerate(FINAL.steps) if step.word in ("RUN", "COPY"))
    assert FINAL.steps.index(FINAL.one("USER")) > last, "what it may not write is made before"


def test_what_it_starts_is_there() -> None:
    """In the exec form: a shell in between would not pass SIGTERM on."""
    entry, command = FINAL.one("ENTRYPOINT").exec_form, FINAL.one("CMD").exec_form
    assert entry == ["gateway"]
    assert command is not None
    assert command[0] in cli.list_commands(cli.make_context("gateway", [], resilient_parsing=True))
    assert command[1:] == ["-c", "/etc/longpoll-gateway/gateway.toml"]
    assert FINAL.one("STOPSIGNAL").text == "SIGTERM"


def test_its_health_check_is_a_command_of_the_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    command = FINAL.one("HEALTHCHECK").exec_form
    assert command is not None
    assert command[:2] == ["gateway", "health"]
    with pytest.raises(SystemExit) as ended:
        main([*command[1:-1], "127.0.0.1:1"])
    assert ended.value.code == 1, capsys.readouterr().err


def test_it_asks_the_admin_listener_of_its_own_configuration() -> None:
    text = (ROOT / "deploy" / "gateway.toml").read_text("utf-8")
    found = re.search(r'\[admin\]\nlisten = "(.+?)"', text)
    assert found is not None
    assert (FINAL.one("HEALTHCHECK").exec_form or [])[-1] == found[1]
    assert FINAL.one("EXPOSE").text == re.findall(r'listen +.*0\.0\.0\.0:(\d+)"', text)[0]


def test_its_configuration_passes_the_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", "x" * 64)
    with pytest.raises(SystemExit) as ended:
        main(["check", str(ROOT / "deploy" / "gateway.toml")])
    said = capsys.readouterr().out.splitlines()
    assert (ended.value.code, [line for line in said if line.startswith("notice: ")]) == (0, []), said

"""`gateway demo`: its configuration, its token and the lines it prints to paste; the demo itself runs in tests/real."""

from __future__ import annotations

import shlex
import socket
import tomllib
from pathlib import Path

import jwt
import pytest

from gateway.config.check import check
from gateway.config.load import load
from gateway.demo.run import Scene, greeting, run_demo, write_config

SCENE = Scene(8080, 9090, 40123, Path("/tmp/demo/gateway.toml"), "aaa.bbb.ccc", "/opt/env/bin/gateway")


def pasted() -> list[list[str]]:
    """The printed lines that are commands, split as a shell splits them."""
    lines = greeting(SCENE).splitlines()
    return [shlex.split(line) for line in lines if line.startswith(("curl ", "TOKEN=", SCENE.command))]


def test_every_printed_command_is_whole_on_its_own_line() -> None:
    commands = pasted()
    assert [command[0] for command in commands].count("curl") == 6
    assert commands[0] == ["TOKEN=aaa.bbb.ccc"]
    assert any(command[:2] == [SCENE.command, "poll"] for command in commands)


def test_every_printed_address_is_quoted_and_points_at_the_demo() -> None:
    for command in pasted()[1:]:
        if command[1] in ("calls", "report"):  # these ask the log, not the gateway
            assert command[2:] == ["-c", str(SCENE.config)]
            continue
        url = command[-1]
        assert url.startswith(("http://127.0.0.1:8080/", "http://127.0.0.1:9090/")), command
        assert "&" not in url or url.endswith("timeout=20")


def test_only_the_poll_without_a_token_goes_without_one() -> None:
    updates = [command for command in pasted() if "/updates" in command[-1]]
    assert ["Authorization: Bearer $TOKEN" in command for command in updates] == [True, False, True]


def test_the_written_token_fits_the_written_configuration(tmp_path: Path) -> None:
    config, token = write_config(tmp_path, 8080, 9090, 40123)
    provider = tomllib.loads(config.read_text("utf-8"))["jwt"]["demo"]
    secret = Path(provider["keys"]["secret"].removeprefix("file:"))
    assert secret.stat().st_mode & 0o077 == 0
    claims = jwt.decode(
        token,
        secret.read_text("ascii"),
        algorithms=provider["algorithms"],
        audience=provider["audience"],
        issuer=provider["issuer"],
    )
    assert claims["sub"] == "alice"


def test_the_written_configuration_has_no_problem(tmp_path: Path) -> None:
    path, _ = write_config(tmp_path, 8080, 9090, 40123)
    config, problems, _ = check(load(path))
    assert problems == []
    assert config is not None


def test_two_demos_never_share_a_secret(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write_config(folder, 8080, 9090, 40123)
    assert len({(folder / "secret.txt").read_bytes() for folder in folders}) == 2


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_in_use_is_one_sentence_with_the_remedy(
    option: str, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = (port, unused_tcp_port) if option == "--port" else (unused_tcp_port, port)
        assert run_demo(*ports) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert f"{option} " in said


def test_the_two_listeners_cannot_share_a_port(unused_tcp_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_demo(unused_tcp_port, unused_tcp_port) == 1
    assert "choose another --admin-port" in capsys.readouterr().err

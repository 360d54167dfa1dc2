"""The command line from outside: what is printed where, and the exit codes."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway import __version__
from gateway.cli import main
from gateway.config.jsonschema import document_schema

from .config.kit import BASE, ROUTE, SECRET

EXAMPLE = Path(__file__).resolve().parents[2] / "gateway.example.toml"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SECRET", SECRET)
    path = tmp_path / "gateway.toml"
    path.write_text(BASE + ROUTE)
    return path


def ran(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of one command."""
    with pytest.raises(SystemExit) as ended:
        main([str(each) for each in arguments])
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_check_says_that_all_is_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "check", config) == (0, f"{config}: ok, 1 route, 1 upstream, 1 provider\n", "")


def test_check_prints_every_problem_and_exits_with_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BASE + ROUTE + "x = 1\n[server]\ndrain = 5\n")
    code, out, err = ran(capsys, "check", config)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f"{config}: route[0].x: unknown key; write one of: allow_list, body_idle_timeout, body_size, concurrency_cap, "
        "connect_timeout, cors, headers, hold, hold_cap, jwt, match, name, policies, rate_limit, response_timeout, retry, "
        "rewrite, sse, upstream, websocket",
        f'{config}: server.drain: is a number without a unit; write a duration in quotes, such as "25s"',
    ]


def test_check_prints_notices_and_passes(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(BASE + ROUTE.replace('["signed"]', "[]"))
    code, out, _ = ran(capsys, "check", config)
    assert code == 0
    assert out.startswith(f"notice: {config}: route[0].policies: anyone may call it; ")


def test_a_missing_file_is_one_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gone.toml"
    assert ran(capsys, "check", path) == (2, "", f"gateway: {path}: no such file or directory; check the path\n")


def test_a_broken_configuration_stops_other_commands_with_exit_code_1(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("a = \n")
    code, out, err = ran(capsys, "routes", "-c", config)
    assert (code, out) == (1, "")
    assert err == f"{config}: line 1, column 5: is not valid TOML: invalid value; see https://toml.io\n"


def test_check_takes_its_file_like_every_other_command(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(config.parent)
    for arguments in ((), ("gateway.toml",), ("-c", "gateway.toml"), ("--config", "gateway.toml")):
        assert ran(capsys, "check", *arguments) == (0, "gateway.toml: ok, 1 route, 1 upstream, 1 provider\n", "")
    code, _, err = ran(capsys, "check", "-c", "gateway.toml", "gateway.toml")
    assert (code, err.splitlines()[-1]) == (2, "Error: FILE is named twice; name it once")


@pytest.mark.parametrize("command", ["run", "routes"])
def test_a_file_without_its_option_is_told_the_option(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, _, err = ran(capsys, command, "gateway.toml")
    assert (code, err.splitlines()[-1]) == (
        2,
        "Error: Got unexpected extra argument (gateway.toml); write -c gateway.toml",
    )


@pytest.mark.parametrize("command", ["init", "plan", "tenants", "keys", "subscriptions"])
def test_a_command_of_a_later_version_is_told_from_a_slip(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, _, err = ran(capsys, command, "--since", "1h")
    last = f"Error: '{command}' is not available in this version; 'gateway --help' lists what is"
    assert (code, err.splitlines()[-1]) == (2, last)


def test_a_directory_is_told_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "check", tmp_path) == (2, "", f"gateway: {tmp_path}: is a directory; name a file\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("demo", "--port", "http"), "Error: Invalid value for '--port': 'http' is not a valid port number."),
        (("poll", "--timeout", "25s", "http://h/"), "Error: Invalid value for '--timeout': '25s' is not a valid number of seconds."),
        (("explain", "http://h/updates", "GET"), "Error: METHOD comes before URL; write GET http://h/updates"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_told_in_plain_words(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, err = ran(capsys, *arguments)
    assert (code, err.splitlines()[-1]) == (2, message)


def test_every_command_says_in_one_line_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = ran(capsys, "--help")
    assert "..." not in out.replace("[ARGS]...", "")
    assert "Exit codes:" in out


def test_routes_prints_a_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "routes", "-c", config)
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["ROUTE", "HOST", "PATH", "METHODS", "UPSTREAM", "HOLD", "POLICIES"],
        ["r", "*", "/r", "*", "u", "-", "signed"],
    ]


def test_token_prints_a_token_with_the_claims_asked_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claims = ("--claim", "tenant=acme", "--claim", 'tiers:=["gold"]', "--claim", "org.id=7")
    code, out, _ = ran(capsys, "token", "-c", config, "--provider", "main", "--sub", "alice", "--ttl", "5m", *claims)
    assert code == 0
    found = jwt.decode(out.strip(), SECRET, algorithms=["HS256"], audience="a", issuer="i")
    assert found.pop("exp") - found.pop("iat") == 300
    assert found == {"iss": "i", "aud": "a", "sub": "alice", "tenant": "acme", "tiers": ["gold"], "org": {"id": "7"}}


def test_token_takes_the_only_provider(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "token", "-c", config, "--sub", "alice")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--provider", "man"), "there is no provider 'man'; did you mean 'main'?"),
        (("--ttl", "5"), '"5" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        (("--claim", "x"), "--claim 'x' has no name and value; write --claim tenant=acme"),
        (("--claim", "x:=y"), "--claim 'x:=y' is not JSON behind ':='; write --claim x=TEXT"),
    ],
)
def test_token_explains_what_is_wrong(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert ran(capsys, "token", "-c", config, "--sub", "a", *arguments) == (1, "", f"Error: {message}\n")


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "chekc")[0] == 2


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(capsys, "--version") == (0, f"gateway {__version__}\n", "")


def test_the_module_runs_as_a_program(config: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", config], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_check_does_not_wait_for_the_proxy(config: Path) -> None:
    code = f"import sys; from gateway.cli import cli; cli(['check', {str(config)!r}], standalone_mode=False); print('aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_the_schema_speaks_of_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "schema")
    schema = json.loads(out)
    assert code == 0
    assert schema == document_schema()
    server = schema["$defs"]["Server"]["properties"]
    assert (server["drain"]["type"], server["drain"]["default"]) == ("string", "25s")
    assert "fair_share" not in server
    assert "telemetry" in schema["properties"]
    assert "from" in schema["$defs"]["JwtProvider"]["properties"]
    assert '"null"' not in out


def test_every_table_of_the_schema_refuses_unknown_keys() -> None:
    tables: dict[str, Any] = document_schema()["$defs"]
    assert all(table["additionalProperties"] is False for table in tables.values() if table["type"] == "object")


def test_the_example_file_passes_the_check(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_JWT_SECRET", "x" * 64)
    code, out, err = ran(capsys, "check", EXAMPLE)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith("ok, 3 routes, 1 upstream, 1 provider")


def test_the_example_file_shows_every_key_there_is() -> None:
    text = EXAMPLE.read_text()
    missing = [
        f"{name}.{key}"
        for name, table in document_schema()["$defs"].items()
        for key in table.get("properties", ())
        if f"{key} " not in text and f"{key}=" not in text and f".{key}]" not in text
    ]
    assert missing == []

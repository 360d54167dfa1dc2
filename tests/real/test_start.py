"""`gateway run` that cannot start: whatever a person can put right is one clear sentence on standard error and an exit
code, never a traceback; and nothing is left listening.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.certificates import make_certificate
from tests.kit.gateways import SECRET, SIGNED_IN, config, free_port, route

PLAIN = config(1, listen=["127.0.0.1:0"])
SIGNED = config(1, more=SIGNED_IN, routes=route(policies=["signed-in"]))


def run(
    folder: Path, text: str, *, command: str = "run", limit: Callable[[], None] | None = None, **environ: str
) -> tuple[int, list[str]]:
    """Exit code, and what stands on standard error but for notices."""
    file = folder / "gateway.toml"
    file.write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command, "-c", file.name], cwd=folder, preexec_fn=limit,
        capture_output=True, text=True, timeout=50, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "GATEWAY_TEST_SECRET": SECRET, **environ},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert not done.stdout
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith(("WARNING ", "INFO "))]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        remedy = "the address is in use; stop what uses it or choose another port"
        said = f"gateway: cannot listen on 127.0.0.1:{port}: {remedy}"
        assert run(tmp_path, config(1, listen=[f"127.0.0.1:{port}"])) == (2, [said])
        assert run(tmp_path, config(1, admin=f"127.0.0.1:{port}")) == (2, [said])


def test_an_address_that_is_not_here(tmp_path: Path) -> None:
    code, said = run(tmp_path, config(1, listen=["203.0.113.7:8080"]))
    assert code == 2
    assert said == ["gateway: cannot listen on 203.0.113.7:8080: cannot assign requested address; check the address"]


def test_a_secret_that_is_not_set(tmp_path: Path) -> None:
    text = SIGNED.replace("env:GATEWAY_TEST_SECRET", "env:GATEWAY_TEST_GONE")
    code, said = run(tmp_path, text)
    assert code == 1
    problem = "the environment variable GATEWAY_TEST_GONE is not set; set it before the gateway starts"
    assert said == [f"gateway.toml: jwt.main.keys.secret: {problem}"]


@pytest.mark.parametrize("what", ["missing", "directory", "rubbish"])
def test_a_key_that_cannot_be_read(tmp_path: Path, what: str) -> None:
    if what == "directory":
        (tmp_path / "key.pem").mkdir()
    elif what == "rubbish":
        (tmp_path / "key.pem").write_bytes(b"\xff\xfe\x00")
    text = SIGNED.replace('secret = "env:GATEWAY_TEST_SECRET"', 'public_key = "file:key.pem"').replace("HS256", "ES256")
    code, said = run(tmp_path, text)
    assert code == 1
    assert len(said) == 1
    assert said[0].startswith("gateway.toml: jwt.main.keys.public_key: ")


@pytest.mark.parametrize("what", ["missing", "swapped", "another key"])
def test_a_certificate_that_cannot_be_used(tmp_path: Path, what: str) -> None:
    one, two = (make_certificate(tmp_path / name, "localhost") for name in ("one", "two"))
    cert, key = {
        "missing": (one.cert, tmp_path / "gone.pem"),
        "swapped": (one.key, one.cert),
        "another key": (one.cert, two.key),
    }[what]
    code, said = run(tmp_path, config(1, server=f'tls = {{ cert = "file:{cert}", key = "file:{key}" }}'))
    assert code == 1
    assert len(said) >= 1
    assert all(line.startswith("gateway.toml: server.tls") for line in said)


@pytest.mark.parametrize("what", ["no such file", "not TOML", "wrong", "folder"])
def test_a_configuration_that_is_none(tmp_path: Path, what: str) -> None:
    if what == "no such file":
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "run", "-c", "gone.toml"], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (2, "gateway: gone.toml: no such file or directory; check the path\n")
    elif what == "folder":
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "run", "-c", "."], cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    else:
        text = "[server\n" if what == "not TOML" else PLAIN.replace("upstream", "upstraem").replace("name =", "nmae =")
        code, said = run(tmp_path, text)
        assert code == 1
        assert len(said) == (1 if what == "not TOML" else len(set(said)))
        assert all(line.startswith("gateway.toml") for line in said)


def test_too_few_descriptors(tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    code, said = run(tmp_path, PLAIN, limit=limit)
    assert code == 2
    assert said == [
        "gateway: only 64 files may be open at once and every held poll takes two; raise it with: ulimit -n 65536"
    ]


@pytest.mark.parametrize("command", ["run", "demo"])
def test_a_missing_c_parser(tmp_path: Path, command: str) -> None:
    """The pure-Python parser is not safe enough for a proxy: nothing starts with it."""
    if command == "run":
        code, said = run(tmp_path, PLAIN, AIOHTTP_NO_EXTENSIONS="1")
    else:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "demo", "--port", str(free_port()), "--admin-port", str(free_port())],
            cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
            env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        )  # fmt: skip
        code, said = done.returncode, done.stderr.splitlines()
    assert code in (1, 2)
    assert len(said) == 1, said
    assert "aiohttp's C parser is missing" in said[0]
    assert "install an aiohttp wheel" in said[0]


def test_a_log_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = run(tmp_path, config(1, calls=f"{tmp_path}/file/calls.jsonl"))
    assert code == 2
    assert len(said) == 1
    assert str(tmp_path) in said[0]


def test_a_socket_file_where_nobody_may_write(tmp_path: Path) -> None:
    code, said = run(tmp_path, config(1, listen=[f"unix:{tmp_path}/none/g.sock"]))
    assert (code, len(said)) == (2, 1)
    assert said[0].startswith(f"gateway: cannot listen on unix:{tmp_path}/none/g.sock: no such file or directory")


@pytest.mark.parametrize("table", ["upstream", "request", "response"])
@pytest.mark.parametrize("value", ["two\nlines", "f\u00fcr"])
def test_a_header_value_that_is_none(tmp_path: Path, table: str, value: str) -> None:
    """Only the running process sees what the variable holds; it is not repeated, for it may be a secret."""
    rule = 'set = { X-Key = "env:GATEWAY_TEST_VALUE" }'
    if table == "upstream":
        text = config(1, upstream=f"headers = {{ {rule} }}")
    else:
        text = config(1, routes=route(extra=f"headers = {{ {table} = {{ {rule} }} }}"))
    code, said = run(tmp_path, text, GATEWAY_TEST_VALUE=value)
    assert code == 1
    assert len(said) == 1, said
    assert "X-Key" in said[0]
    assert not set(value.split()) & set(said[0].split())

"""`gateway health` against a running gateway: one sentence and an exit code that a supervisor can act on, whatever
stands in the configuration file by then.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.addresses import Listen
from gateway.health import ask
from tests.kit.gateways import Process, config, free_port, gateway, gateway_process, hold, process_config, route
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

LONG = 'drain = "300s"\nstop_grace = "600s"'


def health(*arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "health", *map(str, arguments)],
        capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Process]:
    with gateway_process(process_config(1, server=LONG), tmp_path) as gw:
        yield gw


def test_a_gateway_that_serves_is_well(running: Process, tmp_path: Path) -> None:
    where = f"127.0.0.1:{running.admin_port}"
    assert health("-c", tmp_path / "gateway.toml") == (0, f"{where}: ok", "")
    assert health("--admin", where) == (0, f"{where}: ok", "")
    assert health("--admin", where, "--ready") == (0, f"{where}: serving", "")


def test_an_address_for_everybody_is_asked_on_loopback(running: Process) -> None:
    assert health("--admin", f"0.0.0.0:{running.admin_port}")[0] == 0


def test_a_file_that_is_broken_meanwhile_is_no_illness(running: Process, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(file.read_text().replace("[[route]]", '[[route]]\nspelt = "wrong"'))
    assert health("-c", file)[0] == 0


async def test_a_draining_gateway_lives_but_is_not_ready(tmp_path: Path) -> None:
    table = hold(empty='{ answer = "origin" }', replay='"destructive"')
    async with HoldingUpstream() as up:
        text = process_config(up.port, server=LONG, more=table, routes=route(policies=["poll"]))
        with gateway_process(text, tmp_path) as gw:
            async with client(gw.port) as raw:
                await raw.send(get())
                await until(lambda: up.held == 1)
                gw.terminate()
                await until(lambda: health("--admin", f"127.0.0.1:{gw.admin_port}", "--ready")[0] == 1)
                assert health("-c", tmp_path / "gateway.toml")[0] == 0
                _, out, said = health("-c", tmp_path / "gateway.toml", "--ready")
                assert (out, said) == ("", f"127.0.0.1:{gw.admin_port}: draining")


async def test_a_unix_socket_is_asked_too(tmp_path: Path) -> None:
    async with gateway(config(1, admin=f"unix:{tmp_path}/a.sock"), tmp_path):
        for arguments in (("--admin", f"unix:{tmp_path}/a.sock"), ("-c", tmp_path / "gateway.toml")):
            assert await asyncio.to_thread(health, *arguments) == (0, f"unix:{tmp_path}/a.sock: ok", "")


def test_the_reason_of_a_refusal_is_passed_on(running: Process) -> None:
    where = Listen("127.0.0.1", running.admin_port)
    assert ask(where, "/nowhere") == (False, f"{where}: there is no such page")


def test_nobody_there_is_an_illness_with_its_reason() -> None:
    where = f"127.0.0.1:{free_port()}"
    said = f"{where} does not answer (connection refused); is the gateway running?"
    assert health("--admin", where) == (1, "", said)


def test_something_else_there_is_told_from_a_gateway(running: Process) -> None:
    code, _, said = health("--admin", f"127.0.0.1:{running.port}")
    assert (code, said.partition(" (")[0]) == (1, f"127.0.0.1:{running.port} is not a gateway's admin listener")
    with socket.create_server(("127.0.0.1", 0)) as rude:
        port = rude.getsockname()[1]
        talk = threading.Thread(target=lambda: rude.accept()[0].sendall(b"220 mail\r\n"))
        talk.start()
        code, _, said = health("--admin", f"127.0.0.1:{port}")
        talk.join()
    assert code == 1
    assert said.startswith(f"127.0.0.1:{port} does not answer")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\n", "has no admin listener to ask; add [admin]"),
        ("[admin\n", "is not valid TOML; gateway check {file} says where"),
        ('[admin]\nlisten = "127.0.0.1:0"\n', "admin.listen: port 0 is another one at every start; write a number"),
        ("[admin]\nlisten = 9090\n", 'admin.listen: is not an address; write text in quotes, such as "127.0.0.1:8080"'),
    ],
)
def test_a_file_that_does_not_say_where_is_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    assert health("-c", file) == (1, "", f"Error: {file}: {said.format(file=file)}")


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert health("--admin", "9090")[0] == 2
    assert health("-c", tmp_path / "gone.toml") == (
        2, "", f"gateway: {tmp_path}/gone.toml: no such file or directory; check the path"
    )  # fmt: skip

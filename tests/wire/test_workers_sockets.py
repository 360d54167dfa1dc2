"""Where a gateway listens when others open the sockets: systemd's activation by a real parent, descriptors that are
none, unix sockets and ports in use; with one process and with several.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.gateways import config, free_port, hold, route
from tests.kit.machines import PROCESSES, Machine, machine, machine_config
from tests.kit.raw import client, connect, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

pytestmark = pytest.mark.timeout(180)  # three processes start, beside many others
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process
SHARED = '[state]\nurl = "shared://"\n'
HANDED = """
import os, socket, sys
sock = socket.socket(fileno=int(sys.argv[1]))
os.dup2(sock.fileno(), 3)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "gateway.socket"}
os.execv(sys.executable, [sys.executable, "-m", "gateway", *sys.argv[2:]])
"""  # what systemd does between fork and exec
MODULE = ("-m", "gateway")
ELSEWHERE = """
import pathlib, sys
from gateway.cli import main
from gateway.machine import directory
directory.make_directory.__defaults__ = (pathlib.Path(sys.argv.pop(1)),)
main()
"""  # the machine's directory lies where nobody else's does


def text(workers: int, *upstreams: int, listen: str = "fd:3", **tables: str) -> str:
    """For one process or for several."""
    more = tables.pop("more", "") + (SHARED if workers > 1 else "")
    server = f"workers = {workers}\n" + tables.pop("server", "")
    admin = f"127.0.0.1:{free_port()}"
    return config(*upstreams, listen=[listen], admin=admin, server=server, more=more, **tables)


@contextmanager
def activated(text: str, folder: Path, listening: socket.socket) -> Iterator[Machine]:
    """Started as systemd would, with that socket as descriptor 3."""
    command = [sys.executable, "-c", HANDED, str(listening.fileno())]
    with machine(text, folder, command=command, pass_fds=[listening.fileno()]) as gw:
        yield gw


def refused(text: str, folder: Path, start: Sequence[str] = MODULE, **process: int) -> tuple[int, list[str]]:
    """Exit code and sentences of one that cannot start."""
    (folder / "gateway.toml").write_text(text, "utf-8")
    command = [sys.executable, *start, "run", "-c", "gateway.toml"]
    done = subprocess.run(  # type: ignore[call-overload]
        command, cwd=folder, capture_output=True, text=True, timeout=PROCESSES, check=False, **process
    )
    assert "Traceback" not in done.stderr
    return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith(("INFO", "WARNING"))]


@pytest.mark.parametrize("workers", [1, 2])
@ITS_OWN_LOOP
async def test_a_connection_made_before_the_start_and_one_after_the_end_are_the_sockets(
    tmp_path: Path, workers: int
) -> None:
    """What systemd listens on is never refused: it waits for the next process."""
    async with ScriptedUpstream() as up:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            early = await connect(port)
            await early.send(get())
            for _ in range(2):
                with activated(text(workers, up.port), tmp_path, listening) as gw:
                    assert (await early.read_answer()).status == 200
                    await early.close()
                    gw.terminate()
                    assert await gw.exit_code() == 0
                early = await connect(port)
                await early.send(get())
            await early.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_descriptor_that_is_no_listening_socket(tmp_path: Path, workers: int) -> None:
    other = "start the gateway by a systemd socket unit, or write HOST:PORT"
    code, said = refused(text(workers, 1, listen="fd:77"), tmp_path)
    assert (code, said) == (2, [f"gateway: cannot listen on fd:77: this descriptor was not handed over; {other}"])
    with open("/dev/null", "rb") as file:
        number = file.fileno()
        code, said = refused(text(workers, 1, listen=f"fd:{number}"), tmp_path, pass_fds=[number])
        assert (code, said) == (2, [f"gateway: cannot listen on fd:{number}: this descriptor is no socket; {other}"])
    with socket.socket() as sock:
        number = sock.fileno()
        code, said = refused(text(workers, 1, listen=f"fd:{number}"), tmp_path, pass_fds=[number])
    unit = "nobody listens on this socket; write ListenStream= and Accept=no into the socket unit"
    assert (code, said) == (2, [f"gateway: cannot listen on fd:{number}: {unit}"])


def test_a_port_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    (base := tmp_path / "shm").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(text(2, 1, listen=f"127.0.0.1:{port}"), tmp_path, ("-c", ELSEWHERE, str(base)))
    words = "the address is in use; stop what uses it or choose another port"
    assert (code, said) == (2, [f"gateway: cannot listen on 127.0.0.1:{port}: {words}"])
    assert list(base.iterdir()) == []


@ITS_OWN_LOOP
async def test_a_unix_socket_is_shared_and_its_file_goes_with_the_machine(tmp_path: Path) -> None:
    place = tmp_path / "g.sock"
    async with HoldingUpstream() as up:
        listen = [f"127.0.0.1:{free_port()}", f"unix:{place}"]
        poll = {"more": hold(), "routes": route(policies=["poll"])}
        with machine(machine_config(up.port, listen=listen, server='drain = "300ms"', **poll), tmp_path) as gw:
            clients = [await connect(place) for _ in range(40)]
            for raw in clients:
                await raw.send(get())
            await until(lambda: up.held == 40)
            assert all((await gw.held_by()).values())
            gw.kill(0)
            await gw.until_serving(2)
            assert place.exists()
            async with client(place) as raw:
                await raw.send(get())
                await until(lambda: up.held >= 1)
            gw.terminate()
            assert await gw.exit_code() == 0
            assert not place.exists()
            await asyncio.gather(*[raw.close() for raw in clients])

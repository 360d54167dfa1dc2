"""Who may ask a gateway for its place, where, and what becomes of those who ask amiss: other users, other releases, the
silent and the confused.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from gateway.machine.handover import HandoverError, take_over
from tests.kit.machines import machine
from tests.kit.successions import WINDOW, Probes, marked, newcomer, two_routes
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

from .test_replace import ended


async def test_without_a_key_of_its_own_the_socket_is_where_only_this_user_can_reach_it(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=1, server=WINDOW.replace('control = "unix:c.sock"\n', ""))
        with machine(text, tmp_path) as old:
            async with newcomer(marked(text, "new"), tmp_path) as new:
                await Probes(old.port).until_only("new")
                await ended(old)
                found = control_socket(new.process.pid)
                assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
                assert stat.S_IMODE(found.stat().st_mode) == 0o600
                new.terminate()
                await ended(new)
                assert not found.exists()


def control_socket(pid: int) -> Path:
    """Where that process listens for a newcomer, as the kernel says."""
    inodes = {os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    (path,) = {one[7] for one in lines if len(one) > 7 and f"socket:[{one[6]}]" in inodes and one[7][0] == "/"}
    return Path(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_gets_nothing(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)
            control = Path(folder) / "c.sock"
            text = two_routes(up, quick, workers=1).replace("unix:c.sock", f"unix:{control}")
            await refuses(tmp_path, text, control)


async def refuses(tmp_path: Path, text: str, control: Path) -> None:
    with machine(text, tmp_path) as old:
        os.chmod(control, 0o666)
        found = said_to_user(control, 65534)
        assert b"it is run by user 65534 and the gateway by user 0; run it as user 0, or as root" in found
        assert await Probes(old.port).one() == (200, "old")
        assert "may not take over" in old.said()


def said_to_user(path: Path, uid: int) -> bytes:
    """What the gateway answers a process of that user."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(path))
                sock.sendall(b'{"gateway": "longpoll-gateway", "protocol": 1, "ask": "sockets"}\n')
                data, numbers, _, _ = socket.recv_fds(sock, 4096, 10)
                os.write(writer, data if not numbers else b"sockets!")
        except OSError as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with open(reader, "rb") as file:
        return file.read()


async def test_one_that_speaks_another_protocol_is_told_apart(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=1)
        with machine(text, tmp_path) as old, socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(tmp_path / "c.sock"))
            sock.sendall(b'{"gateway": "longpoll-gateway", "protocol": 2, "ask": "sockets"}\n')
            assert b"protocol 2, and this one knows 1" in sock.recv(4096)
            assert await Probes(old.port).one() == (200, "old")


async def test_of_two_at_once_the_later_is_told_to_wait_and_may_ask_again(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=1)
        with machine(text, tmp_path) as old:
            with socket.socket(socket.AF_UNIX) as first:
                first.settimeout(10)
                first.connect(str(tmp_path / "c.sock"))
                first.sendall(b'{"gateway": "longpoll-gateway", "protocol": 1, "ask": "sockets"}\n')
                assert b'"sockets"' in first.recv(4096)  # it has copies of them, and is about to serve
                async with newcomer(text, tmp_path, serves=False) as later:
                    assert await later.exit_code() == 2
                    assert "another process is about to take over already; wait for it, then ask again" in later.said()
            await until(lambda: "is gone before it served" in old.said())
            async with newcomer(marked(text, "new"), tmp_path, "again"):
                await Probes(old.port).until_only("new")
                await ended(old)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_before_a_socket_that_is_closed_to_it_is_told_what_would_help(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock, tempfile.TemporaryDirectory() as folder:
        sock.bind(f"{folder}/c.sock")
        sock.listen()
        reader, writer = os.pipe()
        if os.fork() == 0:
            try:
                os.setresuid(65534, 65534, 65534)
                take_over(Path(folder) / "c.sock")
            except HandoverError as error:
                os.write(writer, str(error.strerror or error).encode())
            finally:
                os._exit(0)
        os.close(writer)
        os.wait()
        with open(reader, "rb") as file:
            assert file.read().endswith(b"permission denied; run as the user whose it is, or as root")


async def test_who_asks_and_says_nothing_more_is_in_nobodys_way(tmp_path: Path) -> None:
    """Neither a peer that is silent nor one that talks nonsense keeps the next from its turn."""
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=1)
        with (
            machine(text, tmp_path) as old,
            socket.socket(socket.AF_UNIX) as silent,
            socket.socket(socket.AF_UNIX) as odd,
        ):
            silent.connect(str(tmp_path / "c.sock"))
            odd.connect(str(tmp_path / "c.sock"))
            odd.sendall(b"GET / HTTP/1.1\r\n\r\n\n")
            async with newcomer(marked(text, "new"), tmp_path):
                await Probes(old.port).until_only("new")
                await ended(old)


async def test_an_old_one_that_hangs_is_named(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, ScriptedUpstream() as quick:
        text = two_routes(up, quick, workers=1)
        with machine(text, tmp_path) as old:
            old.process.send_signal(signal.SIGSTOP)
            async with newcomer(text, tmp_path, serves=False) as new:
                assert await new.exit_code() == 2
                assert "it does not answer; stop it" in new.said()
            old.process.send_signal(signal.SIGCONT)
            assert await Probes(old.port).one() == (200, "old")

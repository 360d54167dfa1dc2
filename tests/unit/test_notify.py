"""What systemd is told, as it arrives on a real datagram socket; and what is said of handed-over sockets, taken out of
the environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from pathlib import Path

import pytest

from gateway.config.addresses import Listen
from gateway.machine.notify import Notifier
from gateway.machine.sockets import handed_over
from tests.kit.machines import Systemd
from tests.kit.waiting import until


def test_it_is_told_in_its_words_and_nobody_else_may_speak_in_our_name() -> None:
    systemd = Systemd()
    environ = {"NOTIFY_SOCKET": systemd.name, "HOME": "/"}
    notifier = Notifier(environ)
    assert environ == {"HOME": "/"}
    notifier.ready("serving")
    notifier.reloading()
    notifier.stopping("draining")
    notifier.main(17)
    ready, reloading, stopping, main = systemd.said
    assert ready == {"READY": "1", "STATUS": "serving"}
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) > 0
    assert stopping == {"STOPPING": "1", "STATUS": "draining"}
    assert main == {"MAINPID": "17"}
    systemd.close()


def test_a_path_is_as_good_and_whoever_does_not_listen_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "n"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
        notifier.ready("serving")
        assert listening.recv(100) == b"READY=1\nSTATUS=serving"
    notifier.ready("serving")
    assert "systemd could not be told READY=1 (NOTIFY_SOCKET)" in caplog.text
    Notifier({}).ready("serving")
    Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("serving")


async def test_the_watchdog_is_fed_for_as_long_as_the_loop_turns() -> None:
    systemd = Systemd()
    environ = {"NOTIFY_SOCKET": systemd.name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    Notifier(environ).watch(asyncio.get_running_loop())
    assert environ == {}
    await until(lambda: len(systemd.said) > 3)
    assert systemd.said[0] == {"WATCHDOG": "1"}
    systemd.close()


async def test_a_watchdog_of_another_process_is_not_ours() -> None:
    systemd = Systemd()
    Notifier({"NOTIFY_SOCKET": systemd.name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}).watch(
        asyncio.get_running_loop()
    )
    assert systemd.said == []
    systemd.close()


def test_a_socket_nobody_listens_on_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    one, two = os.dup(0), os.dup(0)
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(two - 2), "LISTEN_FDNAMES": "a:b"}
    used = [Listen("", 0, fd=number) for number in range(3, two)]
    handed_over(environ, used)
    assert environ == {}
    assert caplog.messages == [f'systemd handed over sockets that nobody listens on; add "fd:{two}" to server.listen']
    assert not os.get_inheritable(one)
    os.close(one)
    os.close(two)


def test_what_was_handed_to_another_process_is_not_ours(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    handed_over(environ, [])
    assert environ == {}
    assert caplog.messages == []

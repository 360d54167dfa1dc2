"""What an operator reads where a unix socket cannot be had, above all that of `gateway run --replace`."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.config.addresses import Listen
from gateway.edge.listen import ListenError, bind
from gateway.machine.replace import Control


async def test_a_folder_that_cannot_be_made_is_named_with_the_key_that_helps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "longpoll-gateway"
    with caplog.at_level(logging.WARNING, "gateway"):
        Control(folder / "c.sock", cast(Any, None)).open()
    assert caplog.messages == [
        f"nobody can take over from this process with --replace: {folder}: not a directory; write server.control"
    ]


async def test_sockets_of_gateways_that_were_killed_are_removed_and_no_others(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as lives:
        lives.bind(f"{folder}/lives.sock")
        lives.listen()
        for name in ("killed", "young"):
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(f"{folder}/{name}.sock")
        (folder / "file.sock").write_text("precious")
        for name in ("lives", "killed", "file"):
            os.utime(folder / f"{name}.sock", (1, 1))
        control = Control(folder / "c.sock", cast(Any, None))
        control.open()
        assert {path.stem for path in folder.iterdir()} == {"lives", "young", "file", "c"}
        lives.setblocking(False)
        with pytest.raises(BlockingIOError):
            lives.accept()  # nobody has knocked
        control.close()


@pytest.mark.parametrize("lies_there", ["file", "directory"])
def test_what_lies_at_the_path_of_a_socket_is_left_alone_and_told_apart_from_a_port(
    tmp_path: Path, lies_there: str
) -> None:
    path = tmp_path / "c.sock"
    path.mkdir() if lies_there == "directory" else path.write_text("precious")
    with pytest.raises(ListenError) as found:
        bind(Listen("", 0, str(path)))
    words = "the address is in use, or what is there is no socket; stop what uses it or choose another path"
    assert found.value.strerror == f"cannot listen on unix:{path}: {words}"
    assert path.exists() and not path.is_socket()

"""What an operator reads where a unix socket cannot be had, above all that of `gateway run --replace`."""

from __future__ import annotations

import logging
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

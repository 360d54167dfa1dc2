"""`gateway top` in a terminal that is one, of the poorest kind: it starts, shows what is held, and leaves by a key."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, hold, route
from tests.kit.polls import polling
from tests.kit.raw import get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until


class Terminal:
    """A process before a terminal of 100 columns; `screen` is all it ever wrote."""

    def __init__(self, *arguments: object, **env: str) -> None:
        self.master, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        os.set_blocking(self.master, False)
        command = [sys.executable, "-m", "gateway", "top", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=side, stdout=side, stderr=side, env={**os.environ, **env})
        os.close(side)
        self.screen = b""

    def shows(self, text: str) -> bool:
        with contextlib.suppress(BlockingIOError, OSError):
            self.screen += os.read(self.master, 1 << 16)
        return text in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.screen.decode("utf-8", "replace"))

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())


@contextlib.contextmanager
def terminal(*arguments: object, **env: str) -> Iterator[Terminal]:
    there = Terminal(*arguments, **env)
    try:
        yield there
    finally:
        there.process.kill()
        there.process.wait()
        os.close(there.master)


@pytest.mark.parametrize(
    "env", [{"TERM": "xterm-256color"}, {"TERM": "vt100", "NO_COLOR": "1"}], ids=["colour", "none"]
)
async def test_what_is_held_is_seen_in_a_terminal(tmp_path: Path, env: dict[str, str]) -> None:
    async with (
        HoldingUpstream() as up,
        gateway(config(up.port, more=hold(), routes=route(policies=["poll"])), tmp_path) as gw,
        polling(gw, get("/")),
    ):
        await until(lambda: up.held == 1)
        with terminal("--url", f"127.0.0.1:{gw.admin_port}", **env) as there:
            await until(lambda: there.shows("1 held (0 waiting)"))
            await until(lambda: there.shows(f"127.0.0.1:{up.port}"))
            there.type("q")
            await until(lambda: there.shows("") and there.process.poll() is not None)
            assert there.process.returncode == 0
            assert not there.shows("Traceback")
            assert ("NO_COLOR" in env) != bool(colours(there.screen))


def colours(screen: bytes) -> set[bytes]:
    """The colours that were asked for; shades of grey are none."""
    found = set(re.findall(rb"\x1b\[(?:[0-9]+;)*([349][1-6])(?:;[0-9]+)*m", screen)) - {b"38", b"48"}
    exact = re.findall(rb"[34]8;2;(\d+);(\d+);(\d+)", screen)
    return found | {b",".join(rgb) for rgb in exact if len(set(rgb)) > 1}


async def test_ctrl_c_leaves_also_while_a_filter_is_typed(tmp_path: Path) -> None:
    async with gateway(config(1), tmp_path) as gw:
        with terminal("--url", f"127.0.0.1:{gw.admin_port}", TERM="xterm") as there:
            await until(lambda: there.shows("0 held"))
            there.type("/")
            await until(lambda: there.shows("text to look for"))
            there.type("abc")
            await until(lambda: there.shows("match 'abc'"))
            there.type("\x03")
            await until(lambda: there.shows("") and there.process.poll() is not None)
            assert there.process.returncode == 0

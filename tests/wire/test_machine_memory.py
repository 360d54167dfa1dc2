"""A machine of workers in memory that is too small for it, as a container's /dev/shm is: it ends with a sentence and
leaves nothing there, or serves with less and says so.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.machines import PROCESSES, machine, machine_config
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until


def with_memory(size: str, then: str = 'exec "$@"') -> tuple[str, ...]:
    """What comes before a command that shall have a /dev/shm of its own, of that size."""
    return ("unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size={size} tmpfs /dev/shm && {then}", "sh")


def is_allowed() -> bool:
    try:
        return subprocess.run([*with_memory("1m"), "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = [
    pytest.mark.timeout(180),  # three processes start, beside many others
    pytest.mark.skipif(not is_allowed(), reason="only root can have a /dev/shm of its own"),
]
ITS_OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process
GATEWAY = (sys.executable, "-m", "gateway")


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ("4k", "No space left on device; make room there"),  # not even for the files of the configuration
        ("64k", "no space left on device; make room there"),
        ("16m", "make /dev/shm larger, or lower [state] size"),
    ],
)
def test_no_room_for_what_workers_share_ends_with_a_sentence_and_leaves_nothing(
    tmp_path: Path, size: str, said: str
) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(machine_config(1), "utf-8")
    command = [*with_memory(size, '"$@"; code=$?; ls /dev/shm; exit $code'), *GATEWAY, "run", "-c", str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PROCESSES, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert "/dev/shm/longpoll-gateway-" in last and last.lower().endswith(said.lower()), done.stderr


@ITS_OWN_LOOP
async def test_memory_that_is_full_by_now_fails_a_reload_with_a_sentence_and_ends_nobody(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        with machine(machine_config(up.port), tmp_path, (*with_memory("82m"), *GATEWAY)) as gw:
            full = Path("/proc", str(gw.process.pid), "root", "dev/shm/full")
            fill(full)
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: "nothing was changed" in gw.said(), limit=PROCESSES)
            (line,) = [line for line in gw.said().splitlines() if line.startswith("ERROR reload: /")]
            assert line.endswith("No space left on device; make room there") and "Errno" not in gw.said()
            async with client(gw.port) as raw:
                assert (await raw.ask(get())).status == 200
            full.unlink()
            gw.process.send_signal(signal.SIGHUP)
            await until(lambda: "INFO reloaded;" in gw.said(), limit=PROCESSES)


def fill(file: Path) -> None:
    with file.open("wb", buffering=0) as sink:
        for size in (1 << 20, 4096):
            try:
                while True:
                    sink.write(bytes(size))
            except OSError:
                pass
    assert os.statvfs(file).f_bavail == 0

"""Processes under measurement: started on one core, asked for their memory and CPU time, and always stopped.
Linux only: memory comes from smaps_rollup, CPU time from the kernel's clock of the process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.kit.ports import free_port

ROOT = Path(__file__).resolve().parents[2]


class MeasureError(Exception):
    """Measuring itself failed; the text is one sentence for the user."""


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Runs the block, and the children it starts, on a core; changes nothing for None or on a machine that lacks it."""
    before = os.sched_getaffinity(0)
    if core is not None and core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(core: int) -> None:
    """Keeps this process on a core, where the machine has it."""
    if core < (os.cpu_count() or 1):
        os.sched_setaffinity(0, {core})


def free_ports(number: int) -> list[int]:
    """Different loopback ports nobody listens on right now."""
    return [free_port() for _ in range(number)]


def core_speed(core: int) -> float:
    """Milliseconds of CPU that a fixed piece of Python takes on a core: says whether two runs compare."""
    with on_core(core):
        began = time.process_time()
        sum(number & 7 for number in range(3_000_000))
        return (time.process_time() - began) * 1e3


def tree(pid: int) -> list[int]:
    """The process and all its descendants."""
    pids = [pid]
    for parent in pids:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            continue  # it has ended, or the kernel keeps no such list
        pids += map(int, children.split())
    return pids


class Process:
    """One running child. Figures are sums over it and its descendants."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], started: float, output: Path) -> None:
        self.name = name
        self.pid = popen.pid
        self._popen = popen
        self._started = started
        self._output = output

    def pss(self) -> dict[str, int]:
        """Proportional set size in KiB: "Pss" and, of that, "Pss_Anon"."""
        sums = {"Pss": 0, "Pss_Anon": 0}
        for pid in tree(self.pid):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in sums:
                    sums[name] += int(value.split()[0])
        return sums

    def rss(self) -> int:
        """Resident set size in KiB."""
        status = (Path(f"/proc/{pid}/status").read_text() for pid in tree(self.pid))
        return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in status)

    def cpu(self) -> float:
        """Seconds of CPU time used so far (user and system), to the nanosecond."""
        # the clock id clock_getcpuclockid(3) gives; the same sum as utime + stime, without their 10 ms grain
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in tree(self.pid))

    async def listening(self, port: int, within: float = 15.0) -> float:
        """Waits until the port accepts; seconds since the process was started."""
        while time.monotonic() - self._started < within:
            if self._popen.poll() is not None:
                raise MeasureError(f"{self.name} ended with {self._popen.returncode}: {self.last_words()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return time.monotonic() - self._started
            await asyncio.sleep(0.002)
        raise MeasureError(f"{self.name} did not listen within {within:g} s: {self.last_words()}")

    async def ended(self, within: float) -> float | None:
        """Waits for the process to end by itself; seconds it took, None if it did not."""
        began = time.monotonic()
        while self._popen.poll() is None:
            if time.monotonic() - began > within:
                return None
            await asyncio.sleep(0.002)
        return time.monotonic() - began

    def tell(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def terminate(self) -> None:
        self.tell(signal.SIGTERM)

    def exit_code(self) -> int | None:
        """None while it runs; -9 when it was killed."""
        return self._popen.poll()

    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def kill(self) -> None:
        """Ends the process and its descendants now; harmless when it has ended. Workers have groups of their own, and
        would go on for seconds: what they share with the next process that is measured would seem to be its own."""
        if self._popen.poll() is None:
            for pid in tree(self.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._popen.wait()

    def printed(self) -> list[str]:
        """Every line it printed so far."""
        return self._output.read_text(errors="replace").splitlines()

    def last_words(self) -> str:
        """The end of what it printed."""
        return "\n".join(self.printed()).strip()[-600:] or "(it printed nothing)"


@contextmanager
def spawn(
    name: str, argv: list[str], core: int | None, directory: Path, env: Mapping[str, str] | None = None
) -> Iterator[Process]:
    """Runs a command from the project's root until the block is left, however it is left; `env` adds to its
    environment."""
    path = directory / f"{name}.out"
    with path.open("wb") as output, on_core(core):
        started = time.monotonic()
        # a session of its own: Ctrl-C reaches only the bench, which then stops its children in order
        popen = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env={**os.environ, **(env or {})},
        )  # fmt: skip
    process = Process(name, popen, started, path)
    try:
        yield process
    finally:
        process.kill()

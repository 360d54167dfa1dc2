"""A call log under everything at once, in any order, with real files: lines of several workers, time, workers killed
and started again, more or fewer of them, a machine that is replaced while it ends, compactions that are killed at some
step, and age. Whoever reads finds each line once at any moment.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.telemetry import compacting
from gateway.telemetry.compact import tidy
from gateway.telemetry.files import LogFile
from gateway.telemetry.naming import Names, readable
from tests.kit.call_logs import HOUR, NOON, calls, line
from tests.kit.killing import killed

SIZE = 400  # bytes of a file: some four lines


class CallLogs(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.live = Path(tempfile.mkdtemp(prefix="call-log-")) / "calls.jsonl"
        self.now = NOON
        self.written: dict[str, float] = {}  # when each call began
        self.forgotten = 0.0  # calls from before may be gone
        self.many, compacting.MANY = compacting.MANY, 2
        self.ending: list[LogFile] = []  # of the machine before
        self.files: list[LogFile] = []
        self.open(2)

    def open(self, workers: int) -> None:
        self.workers = workers
        self.files = [self.opened(number) for number in range(workers)]

    def opened(self, number: int) -> LogFile:
        return LogFile(self.live, SIZE, wall=lambda: self.now, number=number, workers=self.workers)

    def teardown(self) -> None:
        for file in (*self.files, *self.ending):
            file.close()
        compacting.MANY = self.many
        shutil.rmtree(self.live.parent)

    def write_line(self, held: float) -> bytes:
        call = str(len(self.written))
        self.written[call] = self.now - held
        return line(call, self.now - held)

    @rule(held=st.lists(st.sampled_from([0.0, 30.0, 2 * HOUR]), min_size=1, max_size=6), of=st.integers(0, 9))
    def lines(self, held: list[float], of: int) -> None:
        files = [*self.files, *self.ending]
        assert files[of % len(files)].write(b"".join(map(self.write_line, held))) == (0, "")

    @rule()
    def a_start_and_a_broken_line(self) -> None:
        self.files[-1].write(line("start", self.now, kind="start") + b'{"v":1,"id":\n')

    @rule(seconds=st.sampled_from([0.001, 60.0, HOUR, 5 * HOUR]))
    def time(self, seconds: float) -> None:
        self.now += seconds
        for path in self.live.parent.glob("calls*.jsonl"):
            os.utime(path, (self.now, self.now))
        for file in (*self.files, *self.ending):
            file.tend()

    @rule(torn=st.integers(0, 40), of=st.integers(0, 9))
    def killed_and_started_again(self, torn: int, of: int) -> None:
        """A kill may cut the line that was being written; that one is lost."""
        number = of % self.workers
        os.write(self.files[number]._fd, line("never whole", self.now)[:torn])
        self.files[number].close()
        self.files[number] = self.opened(number)

    @rule(workers=st.integers(1, 4))
    def all_start_again(self, workers: int) -> None:
        for file in self.files:
            file.close()
        self.open(workers)

    @rule(workers=st.integers(1, 4))
    def replaced(self, workers: int) -> None:
        """The old machine still ends its calls when the new one begins."""
        self.ended()
        self.ending = self.files
        self.open(workers)

    @rule()
    def ended(self) -> None:
        for file in self.ending:
            file.close()
        self.ending = []

    @rule()
    def compact(self) -> None:
        assert self.tidy(None)
        most = max(len(self.files) + len(self.ending), 1) + 1
        assert len(readable(self.live).lines) <= most, "only live files, of each that writes, are still lines"

    @rule(step=st.integers(1, 90))
    def compact_killed(self, step: int) -> None:
        killed(partial(self.tidy, None), self.live.parent, step)

    @rule(keep=st.sampled_from([HOUR, 3 * HOUR]), step=st.integers(1, 90))
    def expire(self, keep: float, step: int) -> None:
        self.forgotten = max(self.forgotten, self.now - keep)
        killed(partial(self.tidy, keep), self.live.parent, step)

    def tidy(self, keep: float | None) -> bool:
        return tidy(Names(self.live), keep, None, True, lambda: self.now, lambda said: None)

    @invariant()
    def every_line_is_there_once(self) -> None:
        found = calls(self.live)
        assert found.keys() <= self.written.keys() and set(found.values()) <= {1}
        assert {call for call, began in self.written.items() if began >= self.forgotten} <= found.keys()


TestCallLogs = CallLogs.TestCase
TestCallLogs.settings = settings(max_examples=15, stateful_step_count=25)

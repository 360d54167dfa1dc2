"""Which workers are killed for their silence: one that does not speak while others do, long enough; nobody for what
stops all of them, or the supervisor itself.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.machine import pulse
from gateway.machine.pulse import HUNG, LONG, MUTE, SLACK, Pulse, Watch
from tests.kit.jumping import JumpingLoop


@dataclass
class Worker:
    """`killed` is why, each time."""

    number: int
    pid: int = 0
    served: bool = True
    pulse: Pulse = field(default_factory=Pulse)
    killed: list[str] = field(default_factory=list)

    def kill(self, why: str) -> None:
        self.killed.append(why)


class Crew:
    """Workers that are looked at; who `speaks` does before each look."""

    def __init__(self, count: int) -> None:
        self.all = [Worker(number) for number in range(count)]
        self.watch = Watch({worker.number: worker for worker in self.all})

    def looks(self, count: int, *speak: int) -> list[int]:
        """Who has been killed by then."""
        for _ in range(count):
            for number in speak:
                self.all[number].pulse.beats()
            self.watch.look()
        return [worker.number for worker in self.all if worker.killed]


def test_one_that_is_silent_while_another_speaks_is_killed_once_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    crew = Crew(3)
    crew.all[1].pid = 4711
    assert crew.looks(HUNG + SLACK - 1, 0, 2) == []
    assert crew.looks(50, 0, 2) == [1]
    assert crew.all[1].killed == ["it did not answer"]
    text = f"worker 1 (pid 4711) has not answered for {HUNG + SLACK}s: it hangs, or was stopped; it is killed"
    assert [record.getMessage() for record in caplog.records] == [text]


def test_one_that_speaks_now_and_then_lives() -> None:
    crew = Crew(2)
    for _ in range(10):
        assert crew.looks(HUNG + SLACK - 2, 0) == crew.looks(1, 0, 1) == []


def test_the_only_one_that_serves_is_killed_for_its_own_silence() -> None:
    crew = Crew(2)
    crew.all[0].served = False
    assert crew.looks(HUNG + SLACK - 1, 0) == [] and crew.looks(1, 0) == [1]


def test_two_that_hang_one_after_the_other_are_both_killed() -> None:
    crew = Crew(3)
    assert crew.looks(20, 0, 2) == [] and crew.looks(HUNG + SLACK, 0) == [1, 2]


def test_one_that_does_not_serve_yet_may_build_for_longer(caplog: pytest.LogCaptureFixture) -> None:
    crew = Crew(2)
    crew.all[1].served = False
    assert crew.looks(LONG - 1, 0) == [] and not caplog.records
    assert crew.looks(1, 0) == [1]


def test_nobody_is_killed_for_what_silences_all_until_that_goes_on_for_long(caplog: pytest.LogCaptureFixture) -> None:
    crew = Crew(3)
    assert crew.looks(LONG + SLACK - 1) == []
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"none of 3 workers has answered for {HUNG + SLACK}s") and f"in {LONG - HUNG}s" in said
    assert crew.looks(1) == [0, 1, 2]


def test_who_speaks_later_than_another_after_all_were_silent_is_not_killed_for_that() -> None:
    """As when a container is woken: its processes are not, at the same instant."""
    crew = Crew(2)
    assert crew.looks(LONG) == crew.looks(HUNG - 1, 0) == crew.looks(HUNG, 0, 1) == []


def test_whoever_is_silent_for_a_while_is_waited_for_no_more_until_it_speaks() -> None:
    crew = Crew(2)
    crew.looks(MUTE - 1, 0)
    assert [worker.pulse.mute.is_set() for worker in crew.all] == [False, False]
    crew.looks(1, 0)
    assert [worker.pulse.mute.is_set() for worker in crew.all] == [False, True]
    crew.looks(1, 1)
    assert [worker.pulse.mute.is_set() for worker in crew.all] == [False, False]


@given(st.lists(st.tuples(st.sets(st.integers(0, 2)), st.integers(1, 40)), max_size=20))
def test_who_is_killed_was_silent_long_enough_and_who_was_while_others_spoke_is(
    rounds: list[tuple[set[int], int]],
) -> None:
    crew, silent, alone = Crew(3), [0, 0, 0], [0, 0, 0]
    for speak in [speak for speak, times in rounds for _ in range(times)]:
        for number in range(3):
            silent[number] = 0 if number in speak else silent[number] + 1
            alone[number] = 0 if number in speak else alone[number] + bool(speak)
        crew.looks(1, *speak)
        for worker in crew.all:
            assert not worker.killed or silent[worker.number] >= HUNG + SLACK - 1
            assert worker.killed or alone[worker.number] <= HUNG + SLACK
            worker.killed.clear()
            worker.pulse.given_up = False


@pytest.mark.parametrize("stood_still", [60.0, 86_400.0])
def test_a_machine_that_slept_or_a_supervisor_that_stood_still_is_one_look_however_long(stood_still: float) -> None:
    loop, crew = JumpingLoop(), Crew(2)
    crew.all[0].pulse.beats()
    watching = loop.create_task(crew.watch.run())
    loop.advance(3.5 * pulse.OFTEN)
    before = crew.all[1].pulse.silent
    assert before == 3
    for _ in range(5):
        loop.now += stood_still
        loop.turns(8)
    assert crew.all[1].pulse.silent == before + 5 and not crew.all[1].killed
    watching.cancel()
    loop.turns()


TRACED = """
import ctypes, os, sys, time
pid = os.fork()
if pid == 0:
    ctypes.CDLL(None).ptrace(0, 0, 0, 0)  # PTRACE_TRACEME
    os.kill(os.getpid(), 19)
    os._exit(0)
os.waitpid(pid, 2)  # WUNTRACED
print(pid, flush=True)
sys.stdin.read()
os.kill(pid, 9)
"""


def test_one_that_a_debugger_holds_is_left_to_him() -> None:
    with subprocess.Popen([sys.executable, "-c", TRACED], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as debugger:
        assert debugger.stdout is not None
        held = int(debugger.stdout.readline())
        crew = Crew(2)
        crew.all[1].pid = held
        assert crew.looks(LONG * 2, 0) == []
        crew.all[1].pid = debugger.pid
        assert crew.looks(1, 0) == [1], "the debugger himself is held by nobody"
        debugger.communicate()

"""CPU by function: of a short request, of a poll until it is held, and of one until it is answered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.load import Crowd
from tests.bench.measure import CONNECTIONS, park, settle, short_requests, warm
from tests.bench.process import Process
from tests.bench.proxies import Ports, Stage, wires

from .full import full, profiled
from .sampler import ALLOWED, sampling
from .stacks import Stacks


@dataclass
class Work:
    """What was done how often, what CPU time that took (of the thread of the loop, and of all), and where."""

    what: str
    times: int = 0
    loop: float = 0.0
    all: float = 0.0
    stacks: Stacks = field(default_factory=Stacks)

    def begin(self, process: Process) -> None:
        self.loop -= loop_cpu(process)
        self.all -= process.cpu()

    def end(self, process: Process, times: int) -> None:
        self.loop += loop_cpu(process)
        self.all += process.cpu()
        self.times += times


def loop_cpu(process: Process) -> float:
    """Seconds of CPU time of the first thread, which is that of the loop."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def watched(ports: Ports, directory: Path) -> list[str]:
    return [*ALLOWED, *full(ports, directory)]


async def cpu(folder: Path, polls: int, seconds: float, turns: int) -> list[Work]:
    """Both in fresh processes. Nothing else is looked at: not how the gateway starts, nor how connections are made."""
    short, parked, woken = Work("short request"), Work("poll, until it is held"), Work("wake")
    async with profiled(watched) as on:
        await warm(on)
        known = wires("/now", CONNECTIONS, on.tokens)
        await short_requests(on, known, 0.5)
        async with sampling(on.proxy, short.stacks, folder):
            short.begin(on.proxy)
            loop = await short_requests(on, known, seconds)
            await settle()
            short.end(on.proxy, len(loop.latencies))
    async with profiled(watched) as on:
        await _holds(on, folder, polls, turns, parked, woken)
    return [short, parked, woken]


async def _holds(on: Stage, folder: Path, polls: int, turns: int, parked: Work, woken: Work) -> None:
    """The first turn is not looked at: in it every connection to the upstream is made, and every token new."""
    crowd, wire = Crowd(), wires(on.poll, polls, on.tokens)
    await crowd.dial(on.port, polls)
    await park(on, crowd, wire)
    for _ in range(turns):
        await _wake(on, crowd)
        async with sampling(on.proxy, parked.stacks, folder):
            parked.begin(on.proxy)
            await park(on, crowd, wire)
            await settle()
            parked.end(on.proxy, polls)
        async with sampling(on.proxy, woken.stacks, folder):
            woken.begin(on.proxy)
            await _wake(on, crowd)
            woken.end(on.proxy, polls)


async def _wake(on: Stage, crowd: Crowd) -> None:
    await on.control.publish()
    await crowd.answered(60)
    await settle()


def table(work: Work, most: int) -> Iterator[str]:
    """The functions that take most themselves, in microseconds of CPU each time."""
    each, stacks = work.loop / work.times * 1e6, work.stacks
    yield f"\n{work.what}: {work.all / work.times * 1e6:.1f} us of CPU, {each:.1f} of it the loop's thread"
    yield f"  ({work.times:,} times; {stacks.total:,} samples, so that one is {each / max(stacks.total, 1):.2f} us)"
    yield f"  {'itself':>7} {'whole':>7}"
    for name, count in stacks.own.most_common(most):
        whole = stacks.whole[name]
        yield f"  {each * count / stacks.total:7.2f} {each * whole / stacks.total:7.2f}  {name}"
    rest = stacks.total - sum(count for _, count in stacks.own.most_common(most))
    if rest:
        yield f"  {each * rest / stacks.total:7.2f} {'':7}  {len(stacks.own) - most} others"

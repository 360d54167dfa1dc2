"""Services that die under their polls: who is told what and when, and that nothing is sent twice that must not be,
counted at upstreams whose records outlive them.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import orjson

from tests.bench.load import Control, Crowd
from tests.bench.process import Process, free_ports, spawn
from tests.bench.proxies import SECRET, Ports, tokens
from tests.bench.wire import body, request

from .recorder import READY
from .sheet import Sheet
from .stage import DIALECTS, PLAN, Chaos, admin, configuration, gateway, route, statuses
from .waiting import reached

CURSOR, TAKE = "/poll", "/poll/take"
ROUTES = (
    route("poll", "template", "places") + route("poll/take", "origin", "places", name="take")
    + route("poll/plain", name="plain") + route("poll/drip", name="drip")
)  # fmt: skip
HELD = 2.0  # seconds for which polls are held before their service dies
GENEROUS = PLAN.replace('rate = "20000/s"\nburst = 40000', 'rate = "100000/s"\nburst = 100000')


@contextmanager
def recorder(folder: Path, ports: Sequence[int], name: str = "upstream", wait: bool = False) -> Iterator[Process]:
    """An upstream that records; one that waits listens when it is told."""
    argv = [sys.executable, "-m", "tests.chaos.recorder", str(folder / "seen.jsonl"), "wait" if wait else "now"]
    with spawn(name, [*argv, *map(str, ports)], None, folder) as process:
        yield process


@asynccontextmanager
async def standing(
    folder: Path, listen: Sequence[int], told: Sequence[int], upstream: str = "", dialects: str = DIALECTS
) -> AsyncIterator[Chaos]:
    """A gateway before the endpoints `told`, of which those of `listen` are there already; the first is asked what it
    holds."""
    proxy, admin_port, spare = free_ports(3)
    ports = Ports(proxy, told[0], admin_port, spare)
    (folder / "secret").write_text(SECRET)
    text = configuration(ports, folder, plan=GENEROUS, routes=ROUTES, dialects=dialects)
    urls = json.dumps([f"http://127.0.0.1:{port}" for port in told])
    path = folder / "gateway.toml"
    path.write_text(text.replace(f'["http://127.0.0.1:{told[0]}"]', f"{urls}\n{upstream}"))
    with gateway(path) as running:
        listening = await running.listening(proxy)
        control = await Control.connect(listen[0])
        yield Chaos(running, proxy, admin_port, control, listening, tokens(), ports, folder)


def polls(on: Chaos, path: str, number: int, first: int = 0) -> list[bytes]:
    """Polls that can be told apart where they are recorded, each of its own consumer."""
    return [request(f"{path}?id={first + each}", next(on.tokens)) for each in range(number)]


def seen(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "seen.jsonl").read_bytes().splitlines()
    return [orjson.loads(line) for line in lines]


def times(folder: Path, path: str) -> Counter[int]:
    """How many polls of that path were seen how often."""
    targets = Counter(str(one["target"]) for one in seen(folder))
    return Counter(number for target, number in targets.items() if target.partition("?")[0] == path)


def outcomes(on: Chaos, name: str) -> dict[str, int]:
    """How the calls of a route have ended, and after how many attempts."""
    ended = [one for one in on.records() if one["route"] == name]
    return dict(Counter(f"{one['outcome']}/{one['attempts']}" for one in ended))


async def upstream(on: Chaos) -> dict[str, object]:
    found: dict[str, object] = json.loads(body((await admin(on, "GET /api/upstreams")).answer))["upstreams"][0]
    return found


async def _parked(on: Chaos, sheet: Sheet, cursor: int, take: int) -> tuple[Crowd, Crowd]:
    sheet.step(f"{take:,} polls that take what they are told and {cursor:,} with a cursor are held")
    crowds = Crowd(), Crowd()
    for crowd, path, number in zip(crowds, (TAKE, CURSOR), (take, cursor), strict=True):
        await crowd.dial(on.port, number)
        before, wires = await on.held(), polls(on, path, number)
        crowd.forget()
        for first in range(0, number, 250):
            crowd.ask(wires, slice(first, first + 250))
            await on.reaches(before + min(first + 250, number), 30)
    return crowds


async def killed(sheet: Sheet, folder: Path, cursor: int = 500, take: int = 500) -> None:
    """The only endpoint is killed under its polls and is there again at once."""
    ports = free_ports(1)
    with recorder(folder, ports) as first, recorder(folder, ports, "again", wait=True) as second:
        await first.listening(ports[0])
        await reached(lambda: READY in second.printed(), 15)
        async with standing(folder, ports, ports) as on:
            taking, asking = await _parked(on, sheet, cursor, take)
            await asyncio.sleep(HELD)
            began = time.perf_counter()
            first.kill()
            second.tell(signal.SIGUSR1)
            await taking.answered(10)
            last = max(taking.times, default=began) - began
            sheet.check("polls that take", got := statuses(taking), got == {"502": take}, f"{take} x 502")
            sheet.within("the last of them is told", last, 1)
            await second.listening(ports[0])
            on.control = await Control.connect(ports[0])
            await _settled(sheet, on, asking, cursor, cursor + take)
            _once(sheet, on, cursor, take)


async def _settled(sheet: Sheet, on: Chaos, asking: Crowd, cursor: int, total: int) -> None:
    """Of those with a cursor as many are held again as the budget has, and as found the service there already;
    everybody's place is free or held."""

    async def over() -> bool:
        return len(asking.answers) + await on.held() == cursor

    sheet.within("every one with a cursor is held again or told", await reached(over, 5), 1)
    again, got = await on.held(), statuses(asking)
    got.pop("unanswered", None)
    sheet.check("with a cursor, told", got, set(got) <= {"502", "503"} and not asking.lost, "502 or 503 only")
    sheet.check("and held again", again, again <= 0.2 * total + 10, "a fifth of all at most")
    there = await upstream(on)
    sheet.check("places at the service", there["held"], there["held"] == again, f"{again}, as it says itself")
    await on.control.publish()
    await asking.answered(10)
    news = statuses(asking).get("200", 0)
    sheet.check("and these get their news", news, news == again, f"{again}")


def _once(sheet: Sheet, on: Chaos, cursor: int, take: int) -> None:
    once = times(on.folder, TAKE)
    sheet.check("polls that take, as recorded", dict(once), once == {1: take}, "once")
    twice = times(on.folder, CURSOR)
    sheet.check("with a cursor, as recorded", dict(twice), max(twice) <= 2 and twice.total() == cursor, "twice at most")
    holds: dict[str, list[float]] = {}
    for one in seen(on.folder):
        if str(one["target"]).startswith(f"{CURSOR}?"):
            holds.setdefault(str(one["target"]), []).append(float(str(one["hold"])))
    more = [held for held in holds.values() if held[-1] > held[0] - HELD / 2 and len(held) > 1]
    sheet.check("sent again with more than was left", len(more), not more, "0")


async def one_of_many(sheet: Sheet, folder: Path, endpoints: int = 100, held: int = 5000) -> None:
    """One endpoint of a hundred is killed: what it held is all that changes."""
    ports = free_ports(endpoints)
    rest, victim = ports[:-1], ports[-1]
    with recorder(folder, rest) as others, recorder(folder, [victim], "victim") as lost:
        await others.listening(rest[-1])
        await lost.listening(victim)
        async with standing(folder, rest, ports) as on:
            own = await Control.connect(victim)
            taking, asking = await _parked_on_both(on, sheet, own, held // 2)
            there = [one for one in seen(folder) if one["port"] == victim]
            take = sum(str(one["target"]).startswith(TAKE) for one in there)
            sheet.check("what the victim holds", len(there), len(there) == held // endpoints, f"{held // endpoints}")
            await asyncio.sleep(HELD)
            began = time.perf_counter()
            lost.kill()
            back = await on.reaches(held - take, 10)
            sheet.within("the rest is held again", back, 1)
            told = statuses(taking).get("502", 0)
            sheet.check("polls that take: 502", told, told == take, f"{take}, those of the victim")
            sheet.within("and told", max(taking.times, default=began) - began, 1)
            others = statuses(asking)
            sheet.check("others that were told", others, others == {"unanswered": held // 2}, "none")
            _once(sheet, on, held // 2, held // 2)
            circuit = (await upstream(on))["circuit"]
            sheet.check("the circuit", circuit, "'opened': 0" in str(circuit), "never open")
            await on.control.publish()
            await asking.answered(20)
            sheet.check("with a cursor: news", statuses(asking), statuses(asking) == {"200": held // 2}, "all of them")


async def _parked_on_both(on: Chaos, sheet: Sheet, own: Control, number: int) -> tuple[Crowd, Crowd]:
    """As `_parked`, where two processes hold."""
    sheet.step(f"{number:,} polls that take what they are told and {number:,} with a cursor are held")
    crowds = Crowd(), Crowd()

    async def there(wanted: int) -> bool:
        return await on.held() + (await own.stats())["held"] == wanted

    for turn, (crowd, path) in enumerate(zip(crowds, (TAKE, CURSOR), strict=True)):
        await crowd.dial(on.port, number)
        crowd.forget()
        wires = polls(on, path, number)
        for first in range(0, number, 250):
            some = min(250, number - first)
            crowd.ask(wires, slice(first, first + some))
            await reached(lambda wanted=turn * number + first + some: there(wanted), 30)  # type: ignore[misc]
    return crowds

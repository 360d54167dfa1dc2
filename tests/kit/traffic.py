"""Traffic in which every kind of ending occurs, again and again, on one route: what dashboards and counters are looked
at with. One client stays parked all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence

from .gateways import SIGNED_IN, Process, bearer, hold, route
from .machines import machine_config
from .raw import RawClient, client, get
from .strict import Message
from .upstreams import End, ScriptedUpstream, Step, answer
from .waiting import until

PAUSE = 0.1  # seconds
JSON = "Content-Type: application/json"
POLLS = hold(
    when='["query:since present"]',
    ask='[{ in = "query", name = "timeout", unit = "s" }]',
    margin='"200ms"',
    rewrite="true",
)
LIMITS = """
[[policy.limits.rate_limit]]
rate = "1/hour"
when_claims = { tier = ["free"] }
[[policy.limits.hold_cap]]
max = 1
per = "consumer"
on_excess = "evict-oldest"
"""
GONE = '[upstream.gone]\nendpoints = ["http://127.0.0.1:1"]\n'
ROUTES = route("updates", "/updates", ["signed-in", "poll", "limits"])
ROUTES += ROUTES.replace("updates", "gone").replace('"up"', '"gone"')


def replies(request: Message) -> Sequence[Step]:
    """What the upstream does is written in the query."""
    query = request.target.partition("?")[2]
    for word, steps in {
        "news": (answer(b'["news"]', "200 OK", JSON),),
        "empty": (answer(b"[]", "200 OK", JSON),),
        "error": (answer(b"no", "500 Internal Server Error"),),
        "reset": (End.RESET,),
        "silent": (asyncio.Event(),),
    }.items():
        if f"do={word}" in query:
            return steps
    return (answer(),)


def upstream() -> ScriptedUpstream:
    return ScriptedUpstream(then=replies)


def configuration(up: ScriptedUpstream, otlp: str | None) -> str:
    """A gateway of two workers. `otlp` is where traces go, all of those with news."""
    telemetry = "[telemetry]\nconsumer_label = true\n"
    telemetry += f'otlp = "{otlp}"\nsample = {{ news = 1.0 }}\n' if otlp else ""
    return machine_config(up.port, more=SIGNED_IN + POLLS + LIMITS + GONE + telemetry, routes=ROUTES)


def poll(what: str, who: str, timeout: float = 10, path: str = "/updates", **claims: object) -> bytes:
    return get(f"{path}?since=0&timeout={timeout}&do={what}", bearer(who, **claims))


@contextlib.asynccontextmanager
async def traffic(gw: Process, up: ScriptedUpstream) -> AsyncIterator[None]:
    """Rounds of it, one after the other, until the block is left."""
    going = asyncio.create_task(_rounds(gw, up))
    try:
        yield
        assert not going.done(), going.exception()
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def _rounds(gw: Process, up: ScriptedUpstream) -> None:
    async with client(gw.port) as parked:
        await parked.send(poll("silent", "patient", timeout=20))
        for number in itertools.count():
            async with client(gw.port) as one:
                await _answered(one)
                await _refused(one)
                await _failed(one)
            await _evicted(gw, up, f"eve-{number % 50}")
            await _left(gw, up)
            await asyncio.sleep(PAUSE)  # what is looked at is not how much a machine can do


async def _answered(one: RawClient) -> None:
    for word in ("news", "news", "empty"):
        assert (await one.ask(poll(word, "alice"))).status == 200
    assert (await one.ask(poll("news", "alice", timeout=90))).status == 200  # clamped
    assert (await one.ask(poll("silent", "alice", timeout=0.1))).status in (200, 504)  # an overrun, or one too many
    assert (await one.ask(get("/updates", bearer("alice")))).status == 200


async def _refused(one: RawClient) -> None:
    for _ in range(2):  # the first one passes, once
        await one.ask(poll("news", "greedy", tier="free"))
    assert (await one.ask(get("/updates?since=0"))).status == 401
    assert (await one.ask(get("/nowhere"))).status == 404


async def _failed(one: RawClient) -> None:
    for what, path in (("error", "/updates"), ("reset", "/updates"), ("news", "/gone")):
        assert (await one.ask(poll(what, "bob", path=path))).status in (
            500,
            502,
            503,
        )  # 503: nobody is there, which is known by now
    assert (await one.ask(get("/updates?do=error", bearer("bob")))).status == 500


async def _evicted(gw: Process, up: ScriptedUpstream, who: str) -> None:
    """A second tab ends the poll of the first, which comes back too soon."""
    async with client(gw.port) as first, client(gw.port) as second:
        for tab in (first, second):
            held = len(up.requests)
            await tab.send(poll("silent", who))
            await until(lambda held=held: len(up.requests) > held)
        assert (await first.read_answer()).body == b"[]"
        assert (await first.ask(poll("silent", who))).status == 429


async def _left(gw: Process, up: ScriptedUpstream) -> None:
    """A client that is gone before its answer."""
    held = len(up.requests)
    async with client(gw.port) as one:
        await one.send(poll("silent", "carol"))
        await until(lambda: len(up.requests) > held)

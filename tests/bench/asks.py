"""The measure of a wish: what it takes to read it, to judge it and to write another in its place, per poll. No socket
and no upstream: the functions a call runs through, on requests as clients send them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import orjson

from gateway.head import RequestHead
from gateway.holds import ask, budget
from gateway.holds.plan import AskPlace, HoldPlan
from gateway.holds.predicate import compile_when
from tests.kit.heads import head, posted
from tests.kit.holds import hold_plan, shipped

from .measure import Figures, Scale
from .process import MeasureError
from .proxies import Stage

TURNS, POLLS = 31, 300  # the median turn counts: what others do on this core is not in it
ROOM = {"ranges": [[0, 20]], "required_state": [["m.room.name", ""]], "timeline_limit": 1}
BODY = orjson.dumps(
    {"pos": "s72", "timeout": 90_000, "conn_id": "main", "lists": {f"l{n}": ROOM for n in range(9)}, "pad": "x" * 221}
)  # about 1 KiB, as of a sync with nine lists
JSON = hold_plan(
    when=compile_when(["json:/pos present"]), ask=(AskPlace("json", "/timeout", "ms"),), body_limit=65_536,
    head_when=compile_when(["method == POST"]),
)  # fmt: skip


def query() -> RequestHead:
    return head("GET", "/updates?last_event_id=41&timeout=90", {"Accept": "*/*", "User-Agent": "bench"})


def header() -> RequestHead:
    return head("GET", "/bundle", {"Accept": "*/*", "Prefer": "wait=300", "If-None-Match": '"v1"'})


def json() -> RequestHead:
    return posted("/sync", BODY, headers={"Accept": "*/*", "User-Agent": "bench"})


async def asks(stage: Stage, scale: Scale) -> list[Figures]:
    """Microseconds of CPU per poll whose wish is clamped and told to the upstream, by where it stands."""
    return [
        {
            "ask_query_us": cost(shipped("cursor-updates"), query),
            "ask_header_us": cost(shipped("prefer-wait"), header),
            "ask_json_us": cost(JSON, json),
        }
    ]


def cost(plan: HoldPlan, request: Callable[[], RequestHead]) -> float:
    if not changed(plan, request()):
        raise MeasureError(f"{plan.dialect}: the wish of {request.__name__} was not rewritten")
    return median(_turn(plan, request) for _ in range(TURNS)) * 1e6


def changed(plan: HoldPlan, request: RequestHead) -> bool:
    written = one(plan, request)
    return written != ask.Rewrite(request.query)


def one(plan: HoldPlan, request: RequestHead) -> ask.Rewrite:
    """What a poll goes through, from the parsed head to the changes of what is forwarded."""
    wish = ask.read(plan, request)
    own = wish.plan or plan
    grant = budget.grant(0.0, wish.seconds, own, (), wish.told)
    return ask.write(own, request, budget.wait_left(own, grant.hold, grant.deadline, 0.0) or 0.0)


def _turn(plan: HoldPlan, request: Callable[[], RequestHead]) -> float:
    requests = [request() for _ in range(POLLS)]  # each is read for the first time
    began = time.process_time()
    for each in requests:
        one(plan, each)
    return (time.process_time() - began) / POLLS

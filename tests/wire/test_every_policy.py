"""One table over all shipped policies, on real sockets: the first poll of each policy's golden data is held, gets what
the upstream says as it says it, ends in the protocol's own no-news or an error, survives its upstream as its replay
allows, and shows its secrets to nobody.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.golden.policies.shelf import NAMES, configured, text
from tests.golden.policies.stage import BODILESS, request
from tests.kit.gateways import InProcess, Record, config, gateway
from tests.kit.limits import waiting
from tests.kit.raw import client
from tests.kit.strict import Message
from tests.kit.upstreams import End, ScriptedUpstream, answer
from tests.kit.waiting import until

# What a policy makes of a request is the same on every loop; the transports have their own tests on both.
pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

HERE = Path(__file__).parents[1] / "golden" / "policies"
QUICK = """
[route.hold]
absent   = "200ms"
min      = "100ms"
max      = "200ms"
rewrite  = false
margin   = "200ms"
jitter   = { ratio = 0.0, span = "0s", early = "0s" }
"""


def poll(name: str) -> dict[str, Any]:
    """The case of a policy's golden data that shows everything, which is its first."""
    case: dict[str, Any] = tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))["case"][0]
    return case


def hold(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(text(name))["policy"][name]["hold"]
    return table


def quick(name: str) -> str:
    """Lines that make holds short, whatever clients ask for. Of a session what it learns is still asked for."""
    session = [
        f'{{ in = "session", name = "{each["name"]}" }}' for each in hold(name)["ask"] if each["in"] == "session"
    ]
    return f"{QUICK}ask = [{', '.join(session)}]\n"


@asynccontextmanager
async def attached(name: str, up: ScriptedUpstream, folder: Path, more: str = "") -> AsyncIterator[InProcess]:
    """A gateway with that policy on a route, as its file says, before `up`."""
    routes = configured(name, more=more).replace("http://127.0.0.1:5000", up.url)
    async with gateway(config(up.url, routes=routes), folder) as gw:
        yield gw


def spoken(described: dict[str, Any]) -> bytes:
    """An answer of the golden data as an upstream sends it."""
    status = described.get("status", 200)
    bodiless = status in BODILESS
    body = described.get("body", "").encode()
    return answer(body, f"{status} Said", *described.get("headers", ()), length=not bodiless)


async def asks(gw: InProcess, case: dict[str, Any]) -> Message:
    method = case["request"].partition(" ")[0]
    async with client(gw.port) as raw:
        return await raw.ask(request(case), method)


@pytest.mark.parametrize("name", NAMES)
async def test_a_poll_is_held_and_told_what_its_upstream_says(name: str, tmp_path: Path) -> None:
    case = poll(name)
    said = case["answers"]
    go = [asyncio.Event() for _ in said]
    up = ScriptedUpstream(*((event, spoken(each)) for event, each in zip(go, said, strict=True)))
    async with up, attached(name, up, tmp_path) as gw:
        for number, (event, described) in enumerate(zip(go, said, strict=True)):
            asked = asyncio.create_task(asks(gw, case))
            await until(lambda number=number: len(up.requests) > number)
            (held,) = await gw.held()
            assert (held["hold_granted"], held["poll"]) == (case["granted"], True)
            event.set()
            found = await asked
            assert (found.status, bytes(found.body).decode()) == (described["status"], described.get("body", ""))
        outcomes = [record["outcome"] for record in await gw.records(len(said))]
        assert outcomes == [described["is"] for described in said]
        assert [each.target for each in up.requests] == [case["forwarded"].partition(" ")[2]] * len(said)


@pytest.mark.parametrize("name", NAMES)
async def test_a_silent_upstream_ends_in_the_protocols_own_words_or_in_an_error(name: str, tmp_path: Path) -> None:
    case = poll(name)
    up = ScriptedUpstream(then=lambda _: (asyncio.Event(),))
    async with up, attached(name, up, tmp_path, quick(name)) as gw:
        found = await asks(gw, case)
        wanted = case["no_news"]
        if isinstance(wanted, dict):
            assert (found.status, bytes(found.body).decode()) == (wanted["status"], wanted.get("body", ""))
            assert {key: found.one(key) or "none" for key in wanted.get("headers", {})} == wanted.get("headers", {})
        else:
            assert found.status == 504
        await until(lambda: up.live == 0)
        (record,) = await gw.records(1)
        assert record["outcome"] in (("blank", "overrun") if isinstance(wanted, dict) else ("upstream_timeout",))


@pytest.mark.parametrize("name", NAMES)
async def test_a_poll_is_sent_again_just_where_its_replay_allows(name: str, tmp_path: Path) -> None:
    case = poll(name)
    again = case["lost"] == "sent again"
    news = next(each for each in case["answers"] if each["is"] == "news")
    up = ScriptedUpstream((End.CLOSE,), (spoken(news),))
    async with up, attached(name, up, tmp_path) as gw:
        found = await asks(gw, case)
        assert found.status == (news["status"] if again else 502)
        sent = [(each.target, bytes(each.body)) for each in up.requests]
        assert sent == [sent[0]] * (2 if again else 1)
        if not again and "json" in (found.one("Content-Type") or ""):
            assert isinstance(json.loads(bytes(found.body)), dict)


@pytest.mark.parametrize("name", NAMES)
async def test_of_two_equal_polls_each_fares_as_the_protocol_says(name: str, tmp_path: Path) -> None:
    case = poll(name)
    fates = case["second"].split(", ")
    up = ScriptedUpstream(then=lambda _: (asyncio.Event(),))
    async with up, attached(name, up, tmp_path) as gw, client(gw.port) as one, client(gw.port) as two:
        await one.send(request(case))
        await until(lambda: up.live == 1 and len(up.requests) == 1)
        await two.send(request(case))
        for raw, fate in zip((one, two), fates, strict=True):
            if fate not in ("held", "waits"):
                assert (await raw.read_answer()).status == int(fate.split()[1])
        held, in_line = fates.count("held"), fates.count("waits")
        await until(lambda: (up.held, waiting(gw)) == (held, in_line))
        assert len(await gw.held()) == held + in_line


# -- what nobody is shown ----------------------------------------------------------------------------------------------

HUSH = "s3cr3t"


def hushed(name: str, place: str) -> dict[str, Any]:
    """The first poll with a value of that place that nobody may see."""
    case, (kind, _, key) = dict(poll(name)), place.partition(":")
    if kind == "query":
        method, _, target = case["request"].partition(" ")
        path, _, query = target.partition("?")
        pairs = [pair for pair in query.split("&") if pair.partition("=")[0] != key]
        case["request"] = f"{method} {path}?{'&'.join([*pairs, f'{key}={HUSH}'])}"
    elif kind == "header":
        case["headers"] = [f"{key}: {HUSH}"]
    elif kind == "json":
        case["body"] = json.dumps({**json.loads(case["body"]), key.removeprefix("/"): HUSH})
    else:
        value = case["key"]
        case["request"] = case["request"].replace(value, HUSH)
    return case


SECRETS = [(name, place) for name in NAMES for place in hold(name).get("secret", ())]


@pytest.mark.parametrize(("name", "place"), SECRETS)
async def test_what_a_policy_calls_secret_reaches_the_upstream_and_no_page_or_record(
    name: str, place: str, tmp_path: Path
) -> None:
    go = asyncio.Event()
    up = ScriptedUpstream((go, answer(b"[]")))
    async with up, attached(name, up, tmp_path) as gw:
        asked = asyncio.create_task(asks(gw, hushed(name, place)))
        await until(lambda: len(up.requests) == 1)
        seen = up.requests[0]
        assert HUSH in f"{seen.target} {seen.raw_head!r} {bytes(seen.body)!r}"
        held: list[Record] = await gw.held()
        assert held and HUSH not in json.dumps(held)
        go.set()
        await asked
        assert HUSH not in json.dumps(await gw.records(1))


# -- neighbours --------------------------------------------------------------------------------------------------------

BESIDE = [
    ("telegram-getupdates", "/bot-status", "/bot-status?timeout=30", False),
    ("telegram-getupdates", "/bot-status/{what}", "/bot-status/getUpdates?timeout=30", False),
    ("telegram-getupdates", "/**", "/bot1:a/getUpdates?timeout=30", True),
    ("telegram-getupdates", "/**", "/bot1:a/getUpdates/more?timeout=30", False),
    ("telegram-getupdates", "/**", "/file/bot1:a/getUpdates?timeout=30", False),
    ("couchdb-changes", "/**", "/db/_changes?feed=longpoll&since=7", True),
    ("couchdb-changes", "/**", "/db/doc/_changes?feed=longpoll&since=7", False),
    ("couchdb-changes", "/{db}/{doc}", "/db/_changes?feed=longpoll&since=7", True),
    ("consul", "/v1/kv/**", "/v1/kv/a?index=41&wait=10s", False),
    ("consul", "/v1/kv/**", "/v1/catalog/nodes?index=41&wait=10s", True),
    ("sockjs", "/sockjs/**", "/sockjs/0/s1/xhr", True),
    ("sockjs", "/sockjs/**", "/sockjs/0/s1/xhr_send", False),
    ("engineio", "/**", "/socket.io/?EIO=4&transport=polling&sid=s1", True),
    ("matrix-sync", "/_matrix/**", "/_matrix/client/v3/sync?since=1&timeout=30000", True),
]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("name", "path", "target", "is_poll"), BESIDE)
async def test_a_policy_keeps_to_its_own_route_whatever_stands_beside_it(
    name: str, path: str, target: str, is_poll: bool, first: bool, tmp_path: Path
) -> None:
    method = "POST" if name == "sockjs" else "GET"
    other = f'[[route]]\nname = "other"\nmatch = {{ path = "{path}" }}\nupstream = "up"\n'
    async with ScriptedUpstream() as up:
        own = configured(name).replace("http://127.0.0.1:5000", up.url)
        routes = own + other if first else own.replace("[[route]]", other + "[[route]]")
        async with gateway(config(up.url, routes=routes), tmp_path) as gw:
            assert (await asks(gw, {"request": f"{method} {target}"})).status == 200
            record = await gw.record()
            assert (record["route"], record["outcome"]) == ((name, "news") if is_poll else ("other", "answered"))

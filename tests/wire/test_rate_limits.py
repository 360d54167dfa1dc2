"""Rate limits on real sockets: who counts as one, what a refused client is told, that a refusal costs nothing, and what
a poll costs that was held in vain.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.kit.gateways import hold, route
from tests.kit.limits import alice, bob, cap, left, limit, limited, outcomes, statuses
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

# -- what is told -----------------------------------------------------------------------------------------------------


async def test_a_limited_client_is_told_when_to_come_back_and_the_service_hears_nothing(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit("2/hour")) as (gw, raw):
        first, second, refused = [await raw.ask(alice()) for _ in range(3)]
        assert [one.status for one in (first, second, refused)] == [200, 200, 429]
        assert [one.one("RateLimit") for one in (first, second)] == ['"limits";r=1;t=1800', '"limits";r=0;t=1800']
        for one in (first, second, refused):
            assert one.one("RateLimit-Policy") == '"limits";q=2;w=3600'
        assert (refused.one("RateLimit") or "").startswith('"limits";r=0;t=1')
        assert 1790 <= int(refused.one("Retry-After") or 0) <= 1800 * 1.2 + 2
        assert refused.one("Content-Type") == "application/problem+json"
        assert refused.one("Cache-Control") == "no-store"
        document = json.loads(bytes(refused.body))
        assert (document["status"], document["type"]) == (429, "urn:longpoll-gateway:rate_limited")
        assert len(up.requests) == 2
        record = (await gw.records(3))[2]
        assert (record["outcome"], record["blame"], record["status"]) == ("rate_limited", "downstream", 429)
        assert (record["consumer"], record["attempts"]) == ("alice", 0)


async def test_a_page_may_read_what_it_is_told(tmp_path: Path) -> None:
    cors = '[policy.limits.cors]\norigins = ["https://app.test"]\nheaders = ["Authorization"]\n'
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(), cors) as (_, raw):
        for status in (200, 429):
            found = await raw.ask(alice("/", "Origin: https://app.test"))
            assert found.status == status
            exposed = {name.strip() for name in (found.one("Access-Control-Expose-Headers") or "").split(",")}
            assert {"Retry-After", "RateLimit", "RateLimit-Policy"} <= exposed
            assert found.one("RateLimit") and found.one("Access-Control-Allow-Origin") == "https://app.test"
        asked = ("Origin: https://app.test", "Access-Control-Request-Method: GET")
        preflight = await raw.ask(get("/", *asked, method="OPTIONS"))
        assert (preflight.status, preflight.one("RateLimit")) == (204, None)


async def test_answers_that_are_alike_each_carry_their_own_count(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit("5/hour")) as (_, raw):
        found = [(await raw.ask(alice())).one("RateLimit") for _ in range(5)]
        assert [(one or "").split(";")[1] for one in found] == ["r=4", "r=3", "r=2", "r=1", "r=0"]


async def test_a_dialect_says_no_in_its_own_words(tmp_path: Path) -> None:
    own = hold(refusals='{ "429" = { headers = { Content-Type = "application/json" }, body = \'{"ok":false}\' } }')
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(), poll=own) as (_, raw):
        await raw.ask(alice())
        refused = await raw.ask(alice())
        assert (refused.status, bytes(refused.body)) == (429, b'{"ok":false}')
        assert refused.one("Retry-After") and refused.one("RateLimit")


# -- who counts as one ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per", "same", "other"),
    [
        ("consumer", alice("/", tenant="x"), bob()),
        ("tenant", bob("/", tenant="acme"), alice("/", tenant="other")),
        ("claim:team", bob("/", team="red"), alice("/", team="blue")),
    ],
)
async def test_a_limit_counts_whom_it_names(tmp_path: Path, per: str, same: bytes, other: bytes) -> None:
    first = alice("/", tenant="acme", team="red")
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(per=f'"{per}"')) as (_, raw):
        assert await statuses(raw, first, same, other, other) == [200, 429, 200, 429]


async def test_a_limit_per_route_counts_each_route_for_itself(tmp_path: Path) -> None:
    routes = route("a", "/a", ["limits"]) + route("b", "/b", ["limits"])
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(per='"route"'), routes=routes) as (_, raw):
        assert await statuses(raw, get("/a"), get("/a"), get("/b"), get("/b")) == [200, 429, 200, 429]


async def test_a_limit_of_a_policy_is_one_limit_on_all_its_routes(tmp_path: Path) -> None:
    routes = route("a", "/a", ["signed-in", "limits"]) + route("b", "/b", ["signed-in", "limits"])
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(), routes=routes) as (_, raw):
        assert await statuses(raw, alice("/a"), alice("/b"), bob("/b")) == [200, 429, 200]


async def test_addresses_behind_a_trusted_proxy_are_told_apart(tmp_path: Path) -> None:
    trusted = 'trusted_proxies = ["127.0.0.0/8"]'
    async with (
        ScriptedUpstream() as up,
        limited(up, tmp_path, limit(per='"address"'), signed=False, server=trusted) as (_, raw),
    ):
        calls = [get("/", f"X-Forwarded-For: {one}") for one in ("192.0.2.1", "192.0.2.2", "192.0.2.1")]
        assert await statuses(raw, *calls) == [200, 200, 429]
        forged = get("/", "X-Forwarded-For: 198.51.100.9, 192.0.2.1")
        assert await statuses(raw, forged) == [429]


async def test_addresses_in_a_header_of_a_stranger_are_not_believed(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit(per='"address"'), signed=False) as (_, raw):
        calls = [get("/", f"X-Forwarded-For: 192.0.2.{one}", f"Forwarded: for=192.0.2.{one}") for one in range(3)]
        assert await statuses(raw, *calls) == [200, 429, 429]


async def test_a_flood_from_an_address_is_refused_before_its_tokens_are_looked_at(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, limit("3/hour", per='"address"')) as (gw, raw):
        assert await statuses(raw, *[get("/", "Authorization: Bearer x.y.z")] * 5) == [401, 401, 401, 429, 429]
        assert await statuses(raw, alice()) == [429]
        records = await gw.records(6)
        assert records[5]["outcome"] == "rate_limited" and "consumer" not in records[5]
        assert up.requests == []


async def test_a_stranger_is_told_of_no_consumers_limit(tmp_path: Path) -> None:
    limits = (limit("9/hour"), limit("8/hour", per='"address"'))
    async with ScriptedUpstream() as up, limited(up, tmp_path, *limits) as (_, raw):
        refused = await raw.ask(get())
        assert (refused.status, refused.one("RateLimit-Policy")) == (401, '"limits-2";q=8;w=3600')


async def test_a_limit_may_be_meant_for_some_only(tmp_path: Path) -> None:
    limits = (limit(when_claims='{ tier = "free" }'), limit("2/hour", when_claims='{ tier = ["gold", "silver"] }'))
    async with ScriptedUpstream() as up, limited(up, tmp_path, *limits) as (_, raw):
        assert await statuses(raw, *[alice("/", tier="free")] * 2) == [200, 429]
        assert await statuses(raw, *[alice("/", tier="gold")] * 3) == [200, 200, 429]
        assert await statuses(raw, *[bob()] * 3) == [200, 200, 200]
        assert (await raw.ask(bob())).one("RateLimit") is None


# -- several limits ---------------------------------------------------------------------------------------------------


async def test_all_limits_must_admit_and_a_refusal_costs_nothing(tmp_path: Path) -> None:
    limits = (limit("9/hour", per='"address"'), limit("8/hour", per='"tenant"'), limit("2/hour"))
    async with ScriptedUpstream() as up, limited(up, tmp_path, *limits) as (_, raw):
        found = [await raw.ask(alice("/", tenant="acme")) for _ in range(6)]
        assert [one.status for one in found] == [200, 200, 429, 429, 429, 429]
        assert left(found[-1]) == [7, 6, 0]
        other = await raw.ask(bob("/", tenant="acme"))
        assert (other.status, left(other)) == (200, [6, 5, 1])


async def test_a_call_that_a_cap_refuses_costs_no_token(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("5/hour"), cap(), poll=hold()) as (gw, raw),
        client(gw.port) as other,
    ):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        refused = [await other.ask(alice()) for _ in range(3)]
        assert [one.status for one in refused] == [429] * 3
        assert left(refused[-1]) == [4]


async def test_a_call_for_which_there_was_no_room_costs_no_token(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, limit("5/hour"), poll=hold(), upstream="max_held = 1") as (gw, raw),
        client(gw.port) as other,
    ):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        refused = await other.ask(alice())
        assert (refused.status, left(refused)) == (503, [4])


# -- a poll that was held in vain -------------------------------------------------------------------------------------


SHORT = {"absent": '"300ms"', "margin": '"200ms"'}


async def test_a_poll_that_is_held_to_its_end_in_vain_costs_nothing(tmp_path: Path) -> None:
    limits = limit(refund_empty="true")
    async with HoldingUpstream() as up, limited(up, tmp_path, limits, poll=hold(**SHORT)) as (gw, raw):
        found = await raw.ask(alice())  # the upstream is silent: we say "no news"
        assert (found.status, left(found)) == (200, [1])
        await raw.send(alice())
        await until(lambda: up.held == 1)
        up.publish()
        assert left(await raw.read_answer()) == [0]
        assert (await raw.ask(alice())).status == 429
        assert await outcomes(gw, 3) == {"overrun": 1, "news": 1, "rate_limited": 1}


async def test_the_upstreams_own_no_news_costs_nothing_when_it_held_the_poll(tmp_path: Path) -> None:
    limits = limit(refund_empty="true")
    async with HoldingUpstream() as up, limited(up, tmp_path, limits, poll=hold(**SHORT)) as (gw, raw):
        await raw.send(alice())
        await until(lambda: up.held == 1)
        await asyncio.sleep(0.3)
        up.publish(b"[]")
        assert left(await raw.read_answer()) == [1]
        await raw.send(alice())
        await until(lambda: up.held == 1)
        up.publish(b"[]")  # at once: a loop that does not wait is not at rest
        assert left(await raw.read_answer()) == [0]
        assert (await raw.ask(alice())).status == 429
        assert await outcomes(gw, 3) == {"empty": 2, "rate_limited": 1}


async def test_a_limit_per_address_refunds_too(tmp_path: Path) -> None:
    limits = limit(refund_empty="true", per='"address"')
    async with HoldingUpstream() as up, limited(up, tmp_path, limits, poll=hold(**SHORT), signed=False) as (_, raw):
        assert await statuses(raw, get(), get()) == [200, 200]


@pytest.mark.parametrize("refund", ["true", "false"])
async def test_ordinary_calls_and_polls_that_were_left_are_not_refunded(tmp_path: Path, refund: str) -> None:
    limits = limit("2/hour", refund_empty=refund)
    poll = hold(when='["query:poll present"]')
    async with (
        ScriptedUpstream((answer(b"[]"),), (asyncio.Event(),)) as up,
        limited(up, tmp_path, limits, poll=poll) as (gw, raw),
    ):
        assert await statuses(raw, alice()) == [200]
        await raw.send(alice("/?poll=1"))
        await until(lambda: up.held == 1)
        raw.reset()
        await outcomes(gw, 2)
        async with client(gw.port) as other:
            assert (await other.ask(alice())).status == 429

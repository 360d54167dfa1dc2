"""When a call is asked for what it owes: a stranger first for what comes before identity, and who is known for all at
once, which in a store elsewhere is one way there. What it costs is the same.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.kit.across import STATES, Opened, two
from tests.kit.gateways import InProcess, hold
from tests.kit.limits import alice, bob, cap, left, limit, limited, polled, statuses, waits
from tests.kit.raw import client, get
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until

LIMITS = (limit("5/hour", per='"address"'), limit("3/hour"))
STRANGER = get("/", "Authorization: Bearer nobody")


def asked(gateway: InProcess) -> int:
    """Decisions of the store so far."""
    store: Opened = gateway.app._store  # type: ignore[assignment]
    return store.condition.decisions["asked"]


@pytest.mark.parametrize("state", STATES)
async def test_who_is_known_is_asked_once_for_all_on_any_connection(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        ScriptedUpstream() as up,
        two(state, monkeypatch, up, tmp_path, *LIMITS, cap("concurrency_cap")) as (one, _),
        client(one.port) as raw,
        client(one.port) as other,
    ):
        before = asked(one)
        for ask, ways in ((raw, 2), (raw, 1), (other, 1)):
            assert (await ask.ask(alice())).status == 200
            assert asked(one) - before == ways
            before = asked(one)


async def test_strangers_and_those_who_are_known_pay_from_one_bucket_of_their_address(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, *LIMITS) as (_, raw):
        asks = [alice(), STRANGER, alice(), bob(), STRANGER, alice(), bob(), STRANGER]
        assert Counter(await statuses(raw, *asks)) == {200: 3, 401: 2, 429: 3}


async def test_who_is_known_and_refused_pays_nothing_under_any_limit(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, limited(up, tmp_path, *LIMITS) as (_, raw):
        for want in ([4, 2], [3, 1], [2, 0]):
            assert left(await raw.ask(alice())) == want
        for _ in range(4):
            refused = await raw.ask(alice())
            assert (refused.status, left(refused)) == (429, [2, 0])
        assert await statuses(raw, bob(), bob(), bob()) == [200, 200, 429]


async def test_who_may_not_come_in_here_pays_as_a_stranger_does(tmp_path: Path) -> None:
    """Its token is known, and good for something else: such a flood ends in 429, too."""
    async with ScriptedUpstream() as up, limited(up, tmp_path, 'scopes = ["read"]\n', *LIMITS) as (_, raw):
        assert await statuses(raw, *[alice()] * 7) == [403] * 5 + [429] * 2


async def test_a_poll_that_waits_for_a_place_pays_under_all_limits_once_it_has_it(tmp_path: Path) -> None:
    place = cap(on_excess='"wait"', max_waiting="5")
    async with (
        HoldingUpstream() as up,
        limited(up, tmp_path, *LIMITS, place, poll=hold()) as (gw, raw),
        client(gw.port) as other,
        client(gw.port) as third,
    ):
        await polled(up, raw, alice())
        await waits(gw, other, alice())
        await polled(up, third, bob())
        assert up.publish() == 2
        assert [left(await one.read_answer()) for one in (raw, third)] == [[3, 2], [3, 2]]
        await until(lambda: up.held == 1)
        assert up.publish() == 1
        assert left(await other.read_answer()) == [2, 1]

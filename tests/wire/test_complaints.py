"""What users of other gateways complain of, where no other test here already answers it. docs/complaints.md has the
whole list, with the test or option that answers each.
"""

from __future__ import annotations

from pathlib import Path

from tests.kit.gateways import hold, route
from tests.kit.limits import alice, bob, cap, limited, outcomes, polled
from tests.kit.raw import client, get
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream

SERVER = ("header_timeout", "body_idle_timeout", "write_idle_timeout", "keepalive_timeout")
UPSTREAM = ("response_timeout", "body_idle_timeout", "keepalive")


async def test_no_other_clock_ends_a_hold(tmp_path: Path) -> None:
    """Every clock of the file but the hold's own runs out, twice over."""
    server, upstream = ("\n".join(f'{one} = "300ms"' for one in names) for names in (SERVER, UPSTREAM))
    poll = {"more": hold(), "routes": route(policies=["poll"], extra='response_timeout = "300ms"')}
    async with HoldingUpstream() as up, stage(up, tmp_path, server=server, upstream=upstream, **poll) as (gw, raw):
        await polled(up, raw, get())
        for _ in range(2):
            async with client(gw.port) as idle:
                assert await idle.closed()
        up.publish(b'["news"]')
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        assert (await gw.record())["outcome"] == "news"


async def test_a_consumer_with_all_its_places_taken_starves_nobody_else(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, limited(up, tmp_path, cap(most=2), poll=hold()) as (gw, first):
        async with client(gw.port) as second, client(gw.port) as third, client(gw.port) as other:
            await polled(up, first, alice())
            await polled(up, second, alice())
            assert (await third.ask(alice())).status == 429
            await polled(up, other, bob())
            assert up.publish() == 3
            for raw in (first, second, other):
                assert (await raw.read_answer()).status == 200
        assert await outcomes(gw, 4) == {"capped": 1, "news": 3}

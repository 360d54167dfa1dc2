"""Records wait while a crowd is answered: not for long, not in any number, in their order, and whoever asks what was
counted is told of all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.telemetry import keeping
from gateway.telemetry.keeping import AT_ONCE, TOGETHER
from tests.kit.gateways import InProcess, config, gateway
from tests.kit.raw import RawClient, client, get
from tests.kit.upstreams import ScriptedUpstream

MANY = 2 * TOGETHER


@asynccontextmanager
async def crowd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: float = 60.0
) -> AsyncIterator[tuple[InProcess, RawClient]]:
    """A gateway that believes more answers wait for their turn."""
    monkeypatch.setattr(keeping, "CROWD_WITHIN", within)
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw, client(gw.port) as raw:
        gw.app._telemetry._crowded = lambda: True
        yield gw, raw


async def ask(raw: RawClient, first: int, number: int) -> None:
    for each in range(first, first + number):
        assert (await raw.ask(get(f"/{each}"))).status == 200


async def test_records_wait_for_the_end_of_a_crowd_and_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with crowd(tmp_path, monkeypatch) as (gw, raw):
        await ask(raw, 0, MANY)
        assert len(gw.app._telemetry._ended) == MANY
        gw.app._telemetry._crowded = lambda: False
        records = await gw.records(MANY)
    assert [record["path"] for record in records] == [f"/{each}" for each in range(MANY)]


async def test_records_do_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with crowd(tmp_path, monkeypatch, within=0.0) as (gw, raw):
        await ask(raw, 0, AT_ONCE + 5)
        assert len(await gw.records(AT_ONCE + 5)) == AT_ONCE + 5


async def test_so_many_calls_are_kept_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "MOST", MANY)
    async with crowd(tmp_path, monkeypatch) as (gw, raw):
        await ask(raw, 0, 3 * MANY)
        assert len(gw.app._telemetry._ended) < MANY
        assert len(await gw.records(2 * MANY)) >= 2 * MANY


async def test_who_asks_what_was_counted_is_told_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with crowd(tmp_path, monkeypatch) as (gw, raw):
        await ask(raw, 0, 5)
        counted = gw.app._telemetry.tallies.requests.values()
        assert sum(each.count for each in counted) == 5 and len(gw.app._telemetry._ended) == 0


async def test_an_end_of_the_process_records_who_still_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with crowd(tmp_path, monkeypatch) as (gw, raw):
        await ask(raw, 0, 7)
    assert len(await gw.records(7)) == 7

"""What the dashboard says of calls that are over: trends and advice from the call log, in a real browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from playwright.async_api import expect

from tests.kit.browser import PATIENCE, needs_chromium, window
from tests.kit.gateways import config, gateway
from tests.kit.sick_days import NOON, SICK

pytestmark = needs_chromium

EVIL = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(autouse=True)
def settings() -> None:
    expect.set_options(timeout=PATIENCE)


def history(folder: Path, kind: str) -> int:
    """A sickness of the last hours in the call log; how many calls it has."""
    moved = datetime.now(UTC) - timedelta(hours=4) - NOON
    records = [dict(record) for record in SICK[kind]()]
    for number, record in enumerate(records):
        record["time"] = (datetime.fromisoformat(str(record["time"])) + moved).isoformat().replace("+00:00", "Z")
        record["consumer"] = EVIL if number % 10 == 0 else record.get("consumer")
    folder.joinpath("calls.jsonl").write_bytes(b"".join(orjson.dumps(one) + b"\n" for one in records))
    return len(records)


async def test_what_keeps_clients_from_being_served_is_said_on_the_overview(tmp_path: Path) -> None:
    history(tmp_path, "edge_cut")
    async with gateway(config(1), tmp_path) as gw, window(gw) as looking:
        page = await looking.open("/")
        await expect(page.locator("#advice")).to_contain_text("are cut by the edge in front at 30.01 s")
        await expect(page.locator("#advice")).to_contain_text('set server.front = "30s"')


async def test_trends_are_by_what_is_chosen_and_names_stay_text(tmp_path: Path) -> None:
    calls = history(tmp_path, "edge_cut")
    async with gateway(config(1), tmp_path) as gw, window(gw) as looking:
        page, rows = await looking.open("/trends"), looking.page.locator("#trend-rows tr")
        await expect(page.locator("#totals > div").first).to_contain_text(f"{calls:,}")
        await expect(page.locator("#totals > div").first).to_contain_text("0 before")
        await expect(page.locator("#plots figure")).to_have_count(4)
        assert await rows.count() >= 24, "hours without calls are there too"
        await page.get_by_label("By", exact=True).select_option("consumer")
        await expect(rows.filter(has_text=EVIL)).to_have_count(1)
        await expect(page.locator("#plots figure")).to_have_count(2)
        await expect(page.locator("#plots")).to_contain_text(EVIL[:10])
        assert await page.locator("main img, main script").count() == 0 and "owned" not in await page.title()
        await page.get_by_label("By", exact=True).select_option("route")
        await expect(rows.filter(has_text="feed")).to_have_count(1)


async def test_a_period_without_calls_says_so(tmp_path: Path) -> None:
    history(tmp_path, "edge_cut")
    async with gateway(config(1), tmp_path) as gw, window(gw) as looking:
        page = await looking.open("/trends")
        await page.get_by_label("Period").select_option("1h")
        await expect(page.locator("#why")).to_contain_text("No call of this period is in the log.")

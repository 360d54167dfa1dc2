"""The dashboard of a machine of two workers, in a real browser: one gateway to look at, and its workers beside it."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.kit.browser import PATIENCE, needs_chromium, window
from tests.kit.gateways import hold, route
from tests.kit.machines import machine, machine_config
from tests.kit.polls import polling
from tests.kit.raw import get
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

pytestmark = needs_chromium
POLL = {"more": hold(max='"60s"', absent='"60s"'), "routes": route("updates", policies=["poll"])}
MANY = 20


@pytest.fixture(autouse=True)
def settings() -> None:
    expect.set_options(timeout=PATIENCE)


async def test_the_workers_are_shown_and_polls_of_all_of_them_can_be_ended(tmp_path: Path) -> None:
    async with ScriptedUpstream(then=(asyncio.Event(),)) as up:
        with machine(machine_config(up.port, **POLL), tmp_path) as gw:
            async with polling(gw, *[get(f"/{number}") for number in range(MANY)]), window(gw) as looking:
                await until(lambda: up.held == MANY)
                page = looking.page
                await looking.open("/")
                await expect(page.locator("#workers tr")).to_have_count(2)
                await expect(page.locator("#workers")).to_contain_text("ready")
                await expect(page.locator("#figures")).to_contain_text(str(MANY))
                await expect(page.locator("#state")).to_have_text("serving; 2 of 2 workers ready")
                gw.kill(1, signal.SIGSTOP)
                await expect(page.locator("#workers tr").nth(1)).to_contain_text("silent")
                gw.kill(1, signal.SIGCONT)
                await expect(page.locator("#workers tr").nth(1)).to_contain_text("ready")
                await looking.open("/held")
                await expect(page.locator("#rows tr")).to_have_count(MANY)
                for left in range(MANY - 1, MANY - 4, -1):
                    await page.get_by_role("button", name="End the call").first.click()
                    await page.get_by_role("button", name="End it").click()
                    await expect(page.locator("#rows tr")).to_have_count(left)

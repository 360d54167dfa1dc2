"""Every page of the dashboard at a desk and on a phone, light and dark, with names nobody would like to read; a picture
of each is kept for people to look at.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.kit.browser import PATIENCE, keep, needs_chromium, window
from tests.kit.gateways import bearer, gateway
from tests.kit.polls import polling
from tests.kit.raw import client, get
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.real.test_dashboard import signed_in

pytestmark = needs_chromium

PAGES = ["overview", "held", "trends"]
# Cells that lie over the next one, and those of which a word is a column of letters.
CRAMPED = """[...document.querySelectorAll("#rows td, #rows th, #endpoints td")]
  .filter((cell) => cell.textContent.length > 9 && cell.offsetWidth)
  .filter((cell) => cell.scrollWidth > cell.clientWidth + 1 || cell.clientWidth < 80)
  .map((cell) => cell.textContent)"""


@pytest.fixture(autouse=True)
def patience() -> None:
    expect.set_options(timeout=PATIENCE)


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_fits_asks_nobody_else_and_says_nothing_to_the_console(
    tmp_path: Path, scheme: str, width: int
) -> None:
    news = ScriptedUpstream(*[(answer(b'[{"id": 1}]'),) if n % 3 else (answer(b"[]"),) for n in range(30)],
                            then=(asyncio.Event(),))  # fmt: skip
    trusted = '[server]\ntrusted_proxies = ["127.0.0.1"]\n'
    async with news as up, gateway(signed_in(up).replace("[server]\n", trusted), tmp_path) as gw:
        for number in range(30):
            async with client(gw.port) as raw:
                assert (await raw.ask(get("/news", bearer(f"client-{number % 4}")))).status == 200
        await gw.records(30)
        long = "a-consumer-with-a-name-that-is-longer-than-anybody-would-like-it-to-be-on-a-phone"
        who = [bearer(long if n > 7 else f"client-{n % 4}", tenant="a-tenant-with-a-long-name-gmbh") for n in range(10)]
        peer = "X-Forwarded-For: 2001:db8:85a3::8a2e:370:7334"
        held = [get(f"/a/long/path/{'x' * 60}/{n}", one, peer) for n, one in enumerate(who)]
        async with polling(gw, *held), window(gw, scheme, width) as looking:
            for name in PAGES:
                page = await looking.open("/" if name == "overview" else f"/{name}")
                await expect(page.locator("#state")).to_have_text("serving")
                await expect(
                    page.locator({"held": "#rows tr", "trends": "#plots figure"}.get(name, "#plot-0 figure")).first
                ).to_be_visible()
                await keep(page, f"{name}-{scheme}-{width}")
                assert await page.evaluate("document.documentElement.scrollWidth") <= width
                assert await page.evaluate(CRAMPED) == []

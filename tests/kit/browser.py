"""A real Chromium that looks at the dashboard of a gateway under test. What its console complains of and whom it asks
is kept, and leaving the `async with` block fails when it is not what it should be.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, ConsoleMessage, Page, async_playwright

from .gateways import Running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARTEFACTS = Path(__file__).parent.parent.parent / "artifacts" / "dashboard"
PATIENCE = 20_000  # milliseconds: a net, as in `waiting`
WIDTHS = {1280: 900, 400: 860}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-extensions"]

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here; apt-get install -y chromium")


@dataclass
class Looking:
    """A window. `url` is the admin listener's; `complaints` and `asked` are what its pages said and whom they asked."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def open(self, path: str = "/") -> Page:
        await self.page.goto(f"{self.url}{path}")
        return self.page

    @property
    def strangers(self) -> list[str]:
        return [url for url in self.asked if not url.startswith(f"{self.url}/")]

    def heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@contextlib.asynccontextmanager
async def window(
    gw: Running, scheme: str = "light", width: int = 1280, *, quiet: bool = True
) -> AsyncIterator[Looking]:
    """One window on the dashboard. `quiet=False` where the test makes the console complain."""
    assert CHROMIUM is not None
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env={**os.environ})
        try:
            size = {"width": width, "height": WIDTHS[width]}
            context = await browser.new_context(color_scheme=scheme, viewport=size, locale="en-GB")  # type: ignore[arg-type]
            looking = await _looking(context, f"http://127.0.0.1:{gw.admin_port}")
            yield looking
            assert not looking.strangers
            assert not (quiet and looking.complaints), looking.complaints
        finally:
            await browser.close()


async def _looking(context: BrowserContext, url: str) -> Looking:
    page = await context.new_page()
    page.set_default_timeout(PATIENCE)
    looking = Looking(page, url)
    page.on("console", looking.heard)
    page.on("pageerror", lambda error: looking.complaints.append(str(error)))
    page.on("request", lambda request: looking.asked.append(request.url))
    return looking


async def keep(page: Page, name: str) -> None:
    """A screenshot for people to look at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

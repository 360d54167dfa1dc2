"""The dashboard as an operator has it: a real browser before a real gateway whose polls are real."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.kit.browser import PATIENCE, Looking, needs_chromium, window
from tests.kit.gateways import SIGNED_IN, InProcess, bearer, config, gateway, hold, route
from tests.kit.polls import polling
from tests.kit.raw import RawClient, client, get
from tests.kit.upstreams import ScriptedUpstream

pytestmark = needs_chromium

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
TOKEN = "an admin token of the tests, \N{SNOWMAN} and all"
MADE = "main img, main script, dialog img"  # what EVIL would make
LONG = hold(max='"60s"', absent='"60s"')
JWT = SIGNED_IN.replace("[policy.", 'tenant = "tenant"\n[policy.', 1)
CAP = '[[policy.poll.hold_cap]]\nmax = 3\nper = "consumer"\n'


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_TEST_ADMIN", TOKEN)
    expect.set_options(timeout=PATIENCE)


def quiet() -> ScriptedUpstream:
    """Holds every poll for as long as it is let."""
    return ScriptedUpstream(then=(asyncio.Event(),))


def open_to_all(up: ScriptedUpstream) -> str:
    return config(up.port, more=LONG, routes=route("updates", policies=["poll"]))


def signed_in(up: ScriptedUpstream) -> str:
    return config(up.port, more=JWT + LONG + CAP, routes=route("updates", policies=["signed-in", "poll"]))


@contextlib.asynccontextmanager
async def seen(text: str, folder: Path, path: str = "/") -> AsyncIterator[tuple[InProcess, Looking]]:
    """A gateway, and somebody who looks at a page of it."""
    async with gateway(text, folder) as gw, window(gw) as looking:
        await looking.open(path)
        yield gw, looking


async def told_no_news(raw: RawClient) -> None:
    said = await raw.read_answer()
    assert (said.status, bytes(said.body)) == (200, b"[]")


async def test_a_poll_appears_while_it_is_held_and_ending_it_there_ends_it(tmp_path: Path) -> None:
    async with quiet() as up, seen(open_to_all(up), tmp_path, "/held") as (gw, looking):
        page, rows = looking.page, looking.page.locator("#rows tr")
        await expect(page.get_by_text("Nothing is held right now.")).to_be_visible()
        async with client(gw.port) as raw:
            await raw.send(get("/updates/of/alice"))
            await expect(rows).to_have_count(1)
            await expect(rows).to_contain_text("/updates/of/alice")
            await page.get_by_role("button", name="End the call").click()
            await expect(page.get_by_role("dialog")).to_contain_text("/updates/of/alice")
            await page.get_by_role("button", name="Keep it").click()
            await expect(page.get_by_role("dialog")).to_be_hidden()
            assert len(await gw.held()) == 1, "only who confirms it ends it"
            await page.get_by_role("button", name="End the call").click()
            await page.get_by_role("button", name="End it").click()
            await told_no_news(raw)
            await expect(page.locator("#said")).to_contain_text("Ended the call")
            await expect(page.get_by_text("Nothing is held right now.")).to_be_visible()
        record = await gw.record()
        assert (record["outcome"], record["note"]) == ("evicted", "by operator")


async def test_a_poll_is_ended_by_the_keyboard_alone(tmp_path: Path) -> None:
    async with quiet() as up, seen(open_to_all(up), tmp_path, "/held") as (gw, looking):
        page = looking.page
        async with polling(gw, get("/first"), get("/second")) as clients:
            await expect(page.locator("#rows tr")).to_have_count(2)
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
            assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            await page.keyboard.press("Enter")
            await page.keyboard.press("/")
            await expect(page.get_by_label("Search")).to_be_focused()
            await page.keyboard.type("second")
            await expect(page.locator("#rows tr")).to_have_count(1)
            await tab_to(page, "#rows tr")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("dialog")).to_contain_text("/second")
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_be_hidden()
            await expect(page.locator("#rows tr")).to_be_focused()
            await page.keyboard.press("Enter")
            await tab_to(page, "#end")
            await page.keyboard.press("Enter")
            await told_no_news(clients[1])
            await expect(page.get_by_text("Nothing that is held matches.")).to_be_visible()
            assert [call["path"] for call in await gw.held()] == ["/first"]


async def tab_to(page: Page, what: str) -> None:
    """Presses Tab until it has the focus."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("what => document.activeElement.matches(what)", what):
            return
    raise AssertionError(f"Tab never reaches {what}")


async def test_arrows_go_from_row_to_row_and_who_ends_leaves_the_focus_in_the_table(tmp_path: Path) -> None:
    async with quiet() as up, seen(open_to_all(up), tmp_path, "/held") as (gw, looking):
        page, rows = looking.page, looking.page.locator("#rows tr")
        async with polling(gw, get("/1"), get("/2"), get("/3")) as (first, second, _):
            await expect(rows).to_have_count(3)
            await rows.first.focus()
            for key, path in (("ArrowDown", 1), ("End", 2), ("ArrowDown", 2), ("Home", 0)):
                await page.keyboard.press(key)
                await expect(rows.nth(path)).to_be_focused()
            await first.close()
            await expect(rows).to_have_count(2)
            await expect(rows.first).to_be_focused()
            await rows.nth(1).get_by_role("button").focus()
            await second.close()
            await expect(rows).to_have_count(1)
            await expect(rows.first.get_by_role("button")).to_be_focused()


async def test_what_a_client_can_write_stays_text(tmp_path: Path) -> None:
    async with quiet() as up, seen(signed_in(up), tmp_path) as (gw, looking):
        page = looking.page
        async with polling(gw, get("/%3Cimg%3E", bearer(EVIL, tenant=EVIL))):
            for path, where in (("/", "#consumers"), ("/held", "#rows")):
                await looking.open(path)
                await expect(page.locator(where)).to_contain_text(EVIL)
            await page.get_by_role("button", name="End the call").click()
            await expect(page.locator("#confirm-facts")).to_contain_text(EVIL)
            assert await page.locator(MADE).count() == 0
            await page.get_by_role("button", name="End it").click()
            await gw.record()
            await looking.open("/trends")
            for by in ("consumer", "tenant"):
                await page.get_by_label("By", exact=True).select_option(by)
                await expect(page.locator("#trend-rows")).to_contain_text(EVIL)
                await expect(page.locator("#key-title")).to_have_text(by.capitalize())
                await expect(page.locator("#plots figure")).to_have_count(2)
            assert await page.locator(MADE).count() == 0
            assert "owned" not in await page.title()
        refused = await page.evaluate(
            "() => { try { document.body.innerHTML = 'x'; return 'done' } catch { return 'refused' } }"
        )
        assert refused == "refused", "not even a slip of ours could make HTML of it"
        looking.complaints.clear()


async def test_the_overview_follows_what_happens(tmp_path: Path) -> None:
    async with quiet() as up, seen(signed_in(up), tmp_path) as (gw, looking):
        page = looking.page
        held = page.locator("#figures > div").first
        await expect(held).to_contain_text("0 parked, 0 waiting")
        async with polling(gw, *[get("/a", bearer("alice"))] * 3):
            await expect(held).to_contain_text("3 parked, 0 waiting")
            await expect(page.locator("#routes tr")).to_contain_text("updates")
            await expect(page.locator("#endpoints tr")).to_contain_text(str(up.port))
            await expect(page.locator("#consumers tr")).to_contain_text("alice")
            await expect(page.locator("#limits tr").filter(has_text="alice")).to_contain_text("100 %")
            async with client(gw.port) as raw:
                assert (await raw.ask(get("/a", bearer("alice")))).status == 429
            await expect(page.locator("#figures > div").filter(has_text="Refused")).not_to_contain_text("0.0 /s")
        await expect(held).to_contain_text("0 parked, 0 waiting")
        await expect(page.locator("#plot-0 figure")).to_be_visible()
        file = tmp_path / "gateway.toml"
        file.write_text(file.read_text("utf-8").replace("[server]", "[sever]"), "utf-8")
        await gw.app.reload()
        await expect(page.locator("#state")).to_contain_text("last reload failed")
        await expect(page.locator("#facts")).to_contain_text("sever")


async def test_thousands_are_searched_filtered_sorted_and_paged(tmp_path: Path) -> None:
    async with quiet() as up, seen(open_to_all(up), tmp_path, "/held") as (gw, looking):
        page, rows = looking.page, looking.page.locator("#rows tr")
        async with polling(gw, *[get(f"/poll/{number}") for number in range(60)]):
            await expect(page.locator("#page")).to_have_text("1 to 50")
            await expect(page.locator("#count")).to_have_text("60")
            await page.get_by_role("button", name="Next").click()
            await expect(page.locator("#page")).to_have_text("51 to 60")
            await expect(rows).to_have_count(10)
            await page.get_by_role("button", name="Previous").click()
            await expect(rows).to_have_count(50)
            await page.get_by_role("button", name="Path").click()
            await expect(page.get_by_role("columnheader", name="Path")).to_have_attribute("aria-sort", "ascending")
            await expect(rows.nth(2)).to_contain_text("/poll/10")
            await page.get_by_label("Search").fill("/poll/33")
            await expect(rows).to_have_count(1)
            await expect(page.locator("#count")).to_have_text("1 of 60")
            await page.get_by_label("State", exact=True).select_option("waiting")
            await expect(page.get_by_text("Nothing that is held matches.")).to_be_visible()


async def test_who_has_the_token_signs_in_and_nobody_else(tmp_path: Path) -> None:
    async with quiet() as up:
        text = open_to_all(up).replace("[admin]\n", '[admin]\ntoken = "env:GATEWAY_TEST_ADMIN"\n')
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw, window(gw, quiet=False) as looking:
            await raw.send(get("/updates"))
            page = await looking.open("/held")
            await expect(page.get_by_role("dialog")).to_be_visible()
            assert not looking.complaints, "nothing is asked for without it"
            await page.keyboard.press("Escape")
            await page.keyboard.press("Escape")
            await expect(page.get_by_role("dialog")).to_be_visible()
            await page.get_by_label("Token").fill("a guess \N{SNOWMAN}")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert").filter(has_text="This is not the token")).to_be_visible()
            assert await page.locator("#rows tr").count() == 0
            await page.get_by_label("Token").fill(TOKEN)
            await page.keyboard.press("Enter")
            await expect(page.locator("#rows tr")).to_have_count(1)
            await page.get_by_role("button", name="End the call").click()
            await page.get_by_role("button", name="End it").click()
            await told_no_news(raw)
            await looking.open("/")
            await expect(page.locator("#state")).to_have_text("serving")
            await expect(page.locator("#plot-0 figure")).to_be_visible()
            assert await page.context.cookies() == [] and TOKEN not in " ".join(looking.asked)
            await page.get_by_role("button", name="Sign out").click()
            await expect(page.get_by_role("dialog")).to_be_visible()


async def test_a_gateway_that_is_gone_is_said_to_be_gone_and_is_found_again(tmp_path: Path) -> None:
    async with quiet() as up, gateway(open_to_all(up), tmp_path) as gw, window(gw, quiet=False) as looking:
        page = await looking.open("/")
        await expect(page.locator("#state")).to_have_text("serving")
        await gw.app.stop()
        await expect(page.get_by_role("alert")).to_contain_text("Connection lost since")
        await expect(page.locator("#state")).to_have_text("connection lost")
        again = open_to_all(up).replace('listen = "127.0.0.1:0"', f'listen = "127.0.0.1:{gw.admin_port}"')
        async with gateway(again, tmp_path):
            await expect(page.locator("#state")).to_have_text("serving")
            await expect(page.get_by_role("alert").first).to_be_hidden()


async def test_a_drain_is_seen(tmp_path: Path) -> None:
    async with quiet() as up:
        text = open_to_all(up).replace("[server]\n", '[server]\nshutdown_delay = "20s"\ndrain = "5s"\n')
        async with seen(text, tmp_path) as (gw, looking):
            await expect(looking.page.locator("#state")).to_have_text("serving")
            gw.app.begin_drain()
            await expect(looking.page.locator("#state")).to_have_text("draining")
            await expect(looking.page.locator("#facts")).to_contain_text("polls are being ended")


async def test_without_a_file_of_calls_trends_say_so(tmp_path: Path) -> None:
    async with quiet() as up:
        text = open_to_all(up).replace('calls = "file:calls.jsonl"', 'calls = "stdout"')
        async with seen(text, tmp_path, "/trends") as (_, looking):
            page = looking.page
            await expect(page.locator("#why")).to_contain_text('write log.calls = "file:PATH"')
            await expect(page.locator("#found")).to_be_hidden()

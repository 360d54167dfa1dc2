"""No-news answers that repeat what the last real answer said: every poller has his own, and who has none has no
template.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, hold, route
from tests.kit.raw import RawClient, client, get
from tests.kit.stage import stage
from tests.kit.strict import Message
from tests.kit.upstreams import HoldingUpstream, answer

NO_NEWS = (
    '{ answer = "template", status = 204, headers = { Stream-Cursor = "{last:Stream-Cursor}", '
    'Stream-Next-Offset = "{query:offset}" }, needs = ["query:offset present", '
    '"query:offset not in (now, -1)", "last:Stream-Cursor present"] }'
)


def tables(*policies: str, **values: object) -> dict[str, Any]:
    dialect: dict[str, object] = {
        "when": '["query:live == long-poll"]',
        "absent": '"200ms"',
        "margin": '"100ms"',
        "empty": NO_NEWS,
    }
    return {
        "more": hold(**dialect | values) + SIGNED_IN,
        "routes": route("a", "/a", [*policies, "poll"]) + route("b", "/b", [*policies, "poll"]),
    }


class Streams(HoldingUpstream):
    """Answers what is no poll with a cursor of its own, and holds polls for ever."""

    def __init__(self, status: str = "200 OK", *fields: str) -> None:
        super().__init__()
        hold, self.cursors = self._hold, 0

        def then(request: Message) -> Any:
            if b"live" in request.target.encode():
                return hold(request)
            self.cursors += 1
            return (answer(b"[]", status, *(fields or (f"Stream-Cursor: c{self.cursors}",))),)

        self.then = then


async def no_news(raw: RawClient, path: str = "/a", *fields: str, offset: str = "7") -> tuple[int, str | None]:
    """Status and cursor of what an idle poll is told."""
    found = await raw.ask(get(f"{path}?live=long-poll&offset={offset}", *fields))
    return found.status, found.one("Stream-Cursor")


async def test_a_template_repeats_what_the_last_answer_said(tmp_path: Path) -> None:
    async with Streams() as up, stage(up, tmp_path, **tables()) as (gw, raw):
        assert await no_news(raw) == (504, None), "nothing is known yet"
        for cursor in ("c1", "c2"):
            await raw.ask(get("/a?offset=1"))
            assert await no_news(raw) == (204, cursor)
        assert await no_news(raw, offset="now") == (504, None)
        assert await no_news(raw, "/b") == (504, None), "another path"
        assert [record["outcome"] for record in await gw.records(7)].count("overrun") == 2


async def test_everybody_has_his_own(tmp_path: Path) -> None:
    async with Streams() as up, stage(up, tmp_path, **tables("signed-in")) as (gw, raw), client(gw.port) as other:
        await raw.ask(get("/a?offset=1", bearer("alice")))
        assert await no_news(other, "/a", bearer("bob")) == (504, None)
        assert await no_news(other, "/a", bearer("alice")) == (204, "c1")


@pytest.mark.parametrize(
    ("status", "field"),
    [("404 Not Found", "Stream-Cursor: c"), ("200 OK", f"Stream-Cursor: {'c' * 300}"), ("200 OK", "X: c")],
)
async def test_what_is_an_error_too_long_or_not_there_is_not_repeated(tmp_path: Path, status: str, field: str) -> None:
    async with Streams(status, field) as up, stage(up, tmp_path, **tables()) as (_, raw):
        await raw.ask(get("/a?offset=1"))
        assert await no_news(raw) == (504, None)


async def test_a_reload_keeps_what_was_seen(tmp_path: Path) -> None:
    async with Streams() as up, stage(up, tmp_path, **tables()) as (gw, raw):
        await raw.ask(get("/a?offset=1"))
        assert await gw.app.reload() == []
        assert await no_news(raw) == (204, "c1")

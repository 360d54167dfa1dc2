"""No-news answers filled in from the request, on real sockets: from every place, escaped for where a value stands, and
never further than the client itself has read.
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.kit.gateways import hold, route
from tests.kit.raw import get, post
from tests.kit.stage import stage
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

JSON, FORM = "Content-Type: application/json", "Content-Type: application/x-www-form-urlencoded"
SHORT = {"absent": '"200ms"', "margin": '"100ms"'}
HOSTILE = 'a"b\\c\n{query:x}</a>&'


def template(body: str, needs: str, media: str = "application/json", more: str = "", **values: str) -> dict[str, str]:
    fields = f'{{ Content-Type = "{media}"{more} }}'
    empty = f"{{ answer = \"template\", headers = {fields}, body = '{body}', needs = [{needs}] }}"
    table = hold(**(SHORT | {"empty": empty} | values))
    return {"more": table, "routes": route(path="/rooms/{room}", policies=["poll"])}


async def test_an_answer_repeats_what_stood_in_a_body_a_cookie_and_the_path(tmp_path: Path) -> None:
    text = '[{"channel":"/meta/connect","id":"{json:/0/id}","room":"{path:room}","who":"{cookie:who}"}]'
    needs = '"json:/0/id present", "cookie:who present"'
    tables = template(text, needs, when='["json:/*/channel == /meta/connect"]')
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw):
        body = json.dumps([{"channel": "/meta/connect", "id": HOSTILE}]).encode()
        found = await raw.ask(post(body, "/rooms/blue", JSON, "Cookie: a=b; who=me"))
        assert json.loads(bytes(found.body)) == [
            {"channel": "/meta/connect", "id": HOSTILE, "room": "blue", "who": "me"}
        ]
        assert bytes(up.requests[0].body) == body
        assert (await gw.record())["outcome"] == "overrun"


@pytest.mark.parametrize("offset", ["41", "0", "9007199254740993"])
async def test_a_cursor_that_acknowledges_comes_back_as_it_was_sent(tmp_path: Path, offset: str) -> None:
    tables = template(
        '{"ok":true,"result":[],"next":{form:offset}}',
        '"form:offset present"',
        when='["form:offset present"]',
        cursor='{ request = "form:offset", response = "max(json:/result/*/update_id) + 1", acknowledges = true }',
    )
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw):
        found = await raw.ask(post(f"offset={offset}".encode(), "/rooms/a", FORM))
        assert bytes(found.body) == b'{"ok":true,"result":[],"next":%s}' % offset.encode()
        assert bytes(up.requests[0].body) == f"offset={offset}".encode()
        assert (await gw.record())["cursor"] == offset


async def test_a_value_that_does_not_fit_its_place_makes_no_answer(tmp_path: Path) -> None:
    tables = template('{"next":{query:since}}', '"query:since present"', when='["query:since present"]')
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (gw, raw):
        for since, status in (("7", 200), ('7,"x":1', 504), ("true", 504)):
            found = await raw.ask(get(f"/rooms/a?since={since}".replace('"', "%22")))
            assert found.status == status
        assert [record["outcome"] for record in await gw.records(3)] == ["overrun", *["upstream_timeout"] * 2]
        await until(lambda: up.live == 0)


async def test_markup_and_header_lines_hold_what_a_client_sends(tmp_path: Path) -> None:
    needs = '"query:sid present", "header:If-None-Match present"'
    tables = template(
        '<body sid="{query:sid}">{query:sid}</body>', needs, "text/xml", ', ETag = "{header:If-None-Match}"'
    )
    async with HoldingUpstream() as up, stage(up, tmp_path, **tables) as (_, raw):
        found = await raw.ask(get("/rooms/a?sid=%22%3E%3C/body%3E%26amp;", 'If-None-Match: W/"v 1"'))
        root = ElementTree.fromstring(bytes(found.body))
        assert (root.get("sid"), root.text, len(root)) == ('"></body>&amp;', '"></body>&amp;', 0)
        assert found.one("ETag") == 'W/"v 1"'
        await until(lambda: up.live == 0)

"""The three policies that come with the gateway, in front of an upstream, as a user attaches them: what is a poll, what
the upstream is asked for, who says "no news" and in which words. Where one has to be waited out, its clocks are
narrowed on the route, as a user may.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateways import config, gateway, route
from tests.kit.raw import client, connect, get, post
from tests.kit.stage import stage
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

NO_CONTENT = answer(b"", "204 No Content", length=False)
NOT_MODIFIED = answer(b"", "304 Not Modified", 'ETag: "v7"', length=False)


def under(policy: str, **values: str) -> dict[str, str]:
    """Every path under a shipped policy, some of its keys replaced (TOML text)."""
    table = "".join(f"{key} = {value}\n" for key, value in values.items())
    return {"routes": route(policies=[policy], extra=f"[route.hold]\n{table}" if values else "")}


# -- article-updates ---------------------------------------------------------------------------------------------------


async def test_article_updates_holds_for_longer_than_the_server_and_shorter_than_the_client(tmp_path: Path) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **under("article-updates")) as (gw, raw):
        await raw.send(get("/updates?timeout=3"))
        await until(lambda: up.held == 1)
        (held,) = await gw.held()
        assert 26 < held["ends_in"] <= 28, "after the server's 25 s and its jitter, before the client's 30 s"
        assert (held["poll"], held["hold_asked"], held["hold_granted"]) == (True, None, 25)
        up.publish(b'["news"]')
        assert bytes((await raw.read_answer()).body) == b'["news"]'
        record = await gw.record()
        assert (record["outcome"], record["dialect"]) == ("news", "article-updates")
        assert up.requests[0].target == "/updates?timeout=3", "the server's query is its own business"
        assert up.requests[0].one("Gateway-Hold") == "25.000"


@pytest.mark.parametrize("empty", [NO_CONTENT, answer(b"[]"), answer(b"{}"), NOT_MODIFIED])
async def test_article_updates_passes_on_the_servers_own_no_news(tmp_path: Path, empty: bytes) -> None:
    async with ScriptedUpstream((empty,)) as up, stage(up, tmp_path, **under("article-updates")) as (gw, raw):
        found = await raw.ask(get("/updates"))
        assert found.raw_head.startswith(empty[:12])
        record = await gw.record()
        assert (record["outcome"], record["status"], record["attempts"]) == ("empty", found.status, 1)


async def test_article_updates_says_504_only_after_the_server_was_due(tmp_path: Path) -> None:
    clocks = {"absent": '"200ms"', "min": '"100ms"', "jitter": '{ span = "200ms" }', "margin": '"200ms"'}
    async with HoldingUpstream() as up, stage(up, tmp_path, **under("article-updates", **clocks)) as (gw, raw):
        assert (await raw.ask(get("/updates"))).status == 504
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["outcome"], record["blame"], record["attempts"]) == ("upstream_timeout", "upstream", 1)
        assert record["took"] >= 0.6, "its hold, its jitter and the margin"


@pytest.mark.parametrize("end", [End.CLOSE, End.RESET])
async def test_article_updates_is_never_asked_twice(tmp_path: Path, end: End) -> None:
    async with ScriptedUpstream(then=(end,)) as up, stage(up, tmp_path, **under("article-updates")) as (gw, raw):
        assert (await raw.ask(get("/updates"))).status == 502
        record = await gw.record()
        assert (record["outcome"], record["attempts"]) == ("upstream_reset", 1)
        assert len(up.requests) == 1


# -- cursor-updates ----------------------------------------------------------------------------------------------------

CURSOR = [
    ("?timeout=20", False, None, None, "?timeout=20"),  # no position: answered at once, an ordinary call
    ("?last_event_id=7&timeout=0", False, None, None, "?last_event_id=7&timeout=0"),
    ("?last_event_id=7&timeout=-5", False, None, None, "?last_event_id=7&timeout=-5"),
    ("?last_event_id=7", True, None, 25, "?last_event_id=7"),
    ("?last_event_id=7&timeout=20", True, 20, 20, "?last_event_id=7&timeout=20"),
    ("?timeout=90&last_event_id=7", True, 90, 45, "?timeout=45&last_event_id=7"),
    ("?last_event_id=7&timeout=0.5", True, 0.5, 1, "?last_event_id=7&timeout=1"),
    ("?last_event_id=7&timeout=soon", True, None, 25, "?last_event_id=7&timeout=25"),
]


@pytest.mark.parametrize(("query", "poll", "asked", "granted", "forwarded"), CURSOR, ids=[case[0] for case in CURSOR])
async def test_cursor_updates_reads_the_wish_and_writes_what_it_grants(
    tmp_path: Path, query: str, poll: bool, asked: float | None, granted: float | None, forwarded: str
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **under("cursor-updates")) as (gw, raw):
        assert (await raw.ask(get("/updates" + query))).status == 200
        assert up.requests[0].target == "/updates" + forwarded
        assert (up.requests[0].one("Gateway-Hold") is not None) is poll
        record = await gw.record()
        assert record["outcome"] == ("news" if poll else "answered")
        assert (record.get("hold_asked"), record.get("hold_granted")) == (asked, granted)
        assert record.get("cursor") == ("7" if poll else None)


async def test_cursor_updates_leaves_other_methods_alone(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **under("cursor-updates")) as (gw, raw):
        assert (await raw.ask(post(b"x", "/updates?last_event_id=7"))).status == 200
        assert (await gw.record())["outcome"] == "answered"


async def test_cursor_updates_says_no_news_for_a_quiet_server(tmp_path: Path) -> None:
    clocks = {"min": '"100ms"', "jitter": "{ ratio = 0.0 }", "margin": '"200ms"'}
    async with HoldingUpstream() as up, stage(up, tmp_path, **under("cursor-updates", **clocks)) as (gw, raw):
        found = await raw.ask(get("/updates?last_event_id=7&timeout=0.1"))
        assert (found.status, bytes(found.body)) == (200, b"[]")
        assert found.one("Content-Type") == "application/json"
        assert found.one("Cache-Control") == "no-store"
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["status"], record["dialect"], record["cursor"]) == (200, "cursor-updates", "7")


# -- prefer-wait -------------------------------------------------------------------------------------------------------

PREFER = [
    (["Prefer: wait=20"], True, ["wait=20"]),
    (["Prefer: wait=90"], True, ["wait=60"]),
    (["Prefer: respond-async, wait=90; x=1, return=minimal"], True, None),
    (["prefer: WAIT = 90"], True, None),
    (["Prefer: respond-async"], False, ["respond-async"]),
    (["Prefer: wait=soon"], False, ["wait=soon"]),
    ([], False, []),
]


@pytest.mark.parametrize(("fields", "poll", "forwarded"), PREFER, ids=[str(case[0]) for case in PREFER])
async def test_prefer_wait_clamps_and_rewrites_its_item_alone(
    tmp_path: Path, fields: list[str], poll: bool, forwarded: list[str] | None
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **under("prefer-wait")) as (gw, raw):
        assert (await raw.ask(get("/doc", 'If-None-Match: "v7"', *fields))).status == 200
        seen = up.requests[0].all("Prefer")
        if forwarded is None:
            items = {item.strip().replace(" ", "").lower() for line in seen for item in line.split(",")}
            assert any(item.partition(";")[0] == "wait=60" for item in items)
            assert not any(item.startswith("wait=90") for item in items)
            assert ("respond-async" in items, "return=minimal" in items) == (len(items) > 1,) * 2
        else:
            assert seen == forwarded
        record = await gw.record()
        assert record["outcome"] == ("news" if poll else "answered")
        assert record.get("cursor") == ('"v7"' if poll else None)


async def test_prefer_wait_is_an_ordinary_call_for_what_could_be_done_twice(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **under("prefer-wait")) as (gw, raw):
        assert (await raw.ask(post(b"x", "/doc", "Prefer: wait=90"))).status == 200
        assert up.requests[0].one("Prefer") == "wait=90"
        assert (await gw.record())["outcome"] == "answered"


QUICK = {"min": '"100ms"', "max": '"200ms"', "margin": '"200ms"'}


@pytest.mark.parametrize("tag", ['"v7"', 'W/"v7"', '""'])
async def test_prefer_wait_says_not_modified_with_the_etag_it_was_asked_with(tmp_path: Path, tag: str) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **under("prefer-wait", **QUICK)) as (gw, raw):
        found = await raw.ask(get("/doc", "Prefer: wait=20", f"If-None-Match: {tag}"))
        assert (found.status, found.one("ETag"), bytes(found.body)) == (304, tag, b"")
        assert found.one("Content-Length") is None
        await until(lambda: up.live == 0)
        record = await gw.record()
        assert (record["status"], record["bytes_out"], record["clamped_by"]) == (304, 0, "max")


@pytest.mark.parametrize("fields", [["If-None-Match: *"], ['If-None-Match: "a", "b"'], []])
async def test_prefer_wait_says_nothing_where_no_single_version_could_be_named(
    tmp_path: Path, fields: list[str]
) -> None:
    async with HoldingUpstream() as up, stage(up, tmp_path, **under("prefer-wait", **QUICK)) as (gw, raw):
        assert (await raw.ask(get("/doc", "Prefer: wait=20", *fields))).status == 504
        assert (await gw.record())["outcome"] == "upstream_timeout"


async def test_prefer_wait_passes_on_the_servers_own_not_modified(tmp_path: Path) -> None:
    async with ScriptedUpstream((NOT_MODIFIED,)) as up, stage(up, tmp_path, **under("prefer-wait")) as (gw, raw):
        found = await raw.ask(get("/doc", "Prefer: wait=20", 'If-None-Match: "v7"'))
        assert (found.status, found.one("ETag")) == (304, '"v7"')
        assert (await gw.record())["outcome"] == "empty"


# -- all ---------------------------------------------------------------------------------------------------------------


async def test_one_gateway_serves_all_of_them_side_by_side(tmp_path: Path) -> None:
    """Each route holds by its own policy; the news of one wakes nobody else."""
    names = ["article-updates", "cursor-updates", "prefer-wait"]
    routes = "".join(route(name, f"/{name}", [name]) for name in names)
    async with HoldingUpstream() as up, gateway(config(up.port, routes=routes), tmp_path) as gw:
        fields = ("Prefer: wait=30", 'If-None-Match: "x"')
        clients = [await connect(gw.port) for _ in names]
        for name, raw in zip(names, clients, strict=True):
            await raw.send(get(f"/{name}?last_event_id=1", *fields))
        await until(lambda: up.held == 3)
        held = {one["route"]: one["hold_granted"] for one in await gw.held()}
        assert held == {"article-updates": 25, "cursor-updates": 25, "prefer-wait": 30}
        up.publish(b"[1]")
        assert [(await raw.read_answer()).status for raw in clients] == [200] * 3
        for raw in clients:
            await raw.close()
        async with client(gw.port) as other:
            assert (await other.ask(get("/elsewhere"))).status == 404

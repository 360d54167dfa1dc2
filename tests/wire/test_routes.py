"""What a route does to a call, end to end: which one is chosen, the path the upstream sees, header fields set and
removed both ways, who may call from where, and how large a body may be.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, hold, route
from tests.kit.raw import client, get, post, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import until

# -- which route -------------------------------------------------------------------------------------------------------

MANY = (
    route("api", "/**", match='host = "api.example.com"')
    + route("api-users", "/users/{id}", match='host = "api.example.com", methods = ["GET"]')
    + route("api-me", "/users/me", match='host = "api.example.com"')
    + route("any-poll", "/queues/{name}:poll")
    + route("any-json", "/v1/items-{id}.json")
    + route("any-item", "/v1/{id}")
    + route("any-files", "/files/**")
    + route("any-root", "/")
)
CHOSEN = [
    ("api.example.com", "GET", "/x/y", "api"),
    ("API.Example.COM:8080", "GET", "/x/y", "api"),
    ("api.example.com", "GET", "/users/7", "api-users"),
    ("api.example.com", "HEAD", "/users/7", "api-users"),
    ("api.example.com", "GET", "/users/me", "api-me"),
    ("api.example.com", "GET", "/users/%6De", "api-me"),
    ("api.example.com", "GET", "/files/x", "api"),
    ("other.example.com", "GET", "/files/x", "any-files"),
    ("other.example.com", "GET", "/queues/q:poll", "any-poll"),
    ("other.example.com", "GET", "/queues/:poll", None),
    ("other.example.com", "GET", "/v1/items-7.json", "any-json"),
    ("other.example.com", "GET", "/v1/items-7.JSON", "any-item"),
    ("other.example.com", "GET", "/", "any-root"),
    ("other.example.com", "GET", "/users/7", None),
]


async def test_host_path_and_method_choose_the_route(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=MANY) as (gw, raw):
        for host, method, target, name in CHOSEN:
            found = await raw.ask(get(target, method=method, host=host))
            assert found.status == (200 if name else 404), (host, target)
        records = await gw.records(len(CHOSEN))
        assert [record["route"] for record in records] == [case[3] for case in CHOSEN]


REWRITES = [
    ("/a/{x}", "/v2/{x}", "/a/b%20c?q=1", "/v2/b%20c?q=1"),
    ("/a/{x}/{y}", "/{y}/{x}/end", "/a/1/2", "/2/1/end"),
    ("/files/**", "/v2/**", "/files/x/y/z", "/v2/x/y/z"),
    ("/files/**", "/v2/**", "/files/caf%c3%a9", "/v2/caf%C3%A9"),
    ("/files/{folder}/**", "/{folder}/in/**", "/files/f/g/h", "/f/in/g/h"),
    ("/bot{token}/getUpdates", "/bot{token}/x", "/bot123:xyz/getUpdates", "/bot123:xyz/x"),
    ("/bot{token}/**", "/v2/t-{token}.z/**", "/bot1%2A/a/b", "/v2/t-1%2A.z/a/b"),
    ("/{name}:poll", "/poll/{name}", "/q:poll?w=1", "/poll/q?w=1"),
    ("/old", "/new", "/old?x=/old", "/new?x=/old"),
    ("/a/{x}", "/v2/{x}", "/a/{y}", None),
]


@pytest.mark.parametrize(("path", "rewrite", "asked", "seen"), REWRITES)
async def test_the_upstream_sees_the_path_it_was_written_for(
    tmp_path: Path, path: str, rewrite: str, asked: str, seen: str | None
) -> None:
    routes = route(path=path, extra=f'rewrite = "{rewrite}"')
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=routes) as (gw, raw):
        assert (await raw.ask(get(asked))).status == (200 if seen else 400)
        assert [request.target for request in up.requests] == ([seen] if seen else [])
        if seen:
            assert (await gw.record())["path"].startswith(path.partition("{")[0].rstrip("*")), "the record: as asked"


async def test_an_endpoint_may_stand_below_a_path_of_its_own(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        async with gateway(config(f"{up.url}/base/v1"), tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/updates?x=1"))).status == 200
        assert up.requests[0].target == "/base/v1/updates?x=1"


BOTS = hold(secret='["path:token"]')
SECRET_ROUTES = route("bot", "/bot{token}/getUpdates", ["poll"], match='methods = ["GET"]')


@pytest.mark.parametrize(
    "others", ["", route("files", "/bot{token}/**"), route("rest", "/**")], ids=["alone", "beside", "below all"]
)
async def test_a_secret_inside_a_part_of_the_path_is_shown_nowhere(tmp_path: Path, others: str) -> None:
    """Not of a poll that is held, nor in its record, nor of a slip that another route takes, or none."""
    news = asyncio.Event()
    table = {"more": BOTS, "routes": SECRET_ROUTES + others, "log": "start_of_hold = true"}
    async with ScriptedUpstream((news, answer(b"[1]"))) as up, stage(up, tmp_path, **table) as (gw, raw):
        await raw.send(get("/bot123:xyz/getUpdates"))
        await until(lambda: bool(up.requests), "the poll upstream")
        assert up.requests[0].target == "/bot123:xyz/getUpdates"
        held = await gw.held()
        assert [call["path"] for call in held] == ["/bot***/getUpdates"]
        assert (await gw.admin("/api/held?q=123:xyz"))[1].count(b'"id"') == 0
        news.set()
        assert (await raw.read_answer()).status == 200
        slips = ("/bot123:xyz/getUpdatez", "/bot123%3Axyz/getUpdatez", "/%62ot123:xyz", "/BOT123:xyz/x")
        for target in slips:
            found = await raw.ask(get(target))
            assert b"xyz" not in bytes(found.body), target
        await raw.ask(get("/bot123:xyz/getUpdates", method="DELETE"))
        records = await gw.records(3 + len(slips))
        assert {record["path"].lower().partition("***")[0] for record in records} == {"/bot"}
        assert not [record for record in records if "xyz" in str(record)]


# -- header fields -----------------------------------------------------------------------------------------------------

RULES = """
[[policy.rules.headers]]
request = { set = { X-Inside = "yes", X-Both = "policy" }, remove = ["X-Debug", "cookie"] }
response = { set = { Cache-Control = "no-store" }, remove = ["Server", "X-Powered-By"] }
[[policy.rules.headers]]
response = { set = { X-Second = "2" } }
"""
UPSTREAM = 'headers = { set = { X-Api-Key = "env:GATEWAY_TEST_SECRET", X-Both = "upstream" }, remove = ["X-Trace"] }'


async def test_header_fields_are_set_and_removed_both_ways(tmp_path: Path) -> None:
    script = answer(b"ok", "200 OK", "Server: s", "X-Powered-By: p", "Cache-Control: public", "X-Kept: 1")
    table = {"upstream": UPSTREAM, "more": RULES, "routes": route(policies=["rules"])}
    async with ScriptedUpstream(then=(script,)) as up, stage(up, tmp_path, **table) as (_, raw):
        fields = ("X-Debug: 1", "Cookie: a=1", "X-Trace: 1", "x-inside: no", "X-Api-Key: mine", "X-Kept: 1")
        found = await raw.ask(get("/", *fields))
        seen = up.requests[0]
        assert [seen.one(name) for name in ("X-Debug", "Cookie", "X-Trace", "X-Kept")] == [None, None, None, "1"]
        assert [seen.one(name) for name in ("X-Inside", "X-Both")] == ["yes", "policy"]
        assert (seen.one("X-Api-Key") or "").startswith("a secret of the tests")
        names = ("Server", "X-Powered-By", "Cache-Control", "X-Second", "X-Kept")
        assert [found.one(name) for name in names] == [None, None, "no-store", "2", "1"]


async def test_a_field_of_an_answer_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_TEST_REGION", "eu-1")
    routes = route(extra='headers = { response = { set = { X-Region = "env:GATEWAY_TEST_REGION" } } }')
    async with ScriptedUpstream() as up, stage(up, tmp_path, routes=routes) as (_, raw):
        assert (await raw.ask(get())).one("X-Region") == "eu-1"


async def test_a_set_field_is_not_doubled_by_a_spelling_of_the_client(tmp_path: Path) -> None:
    table = {"upstream": UPSTREAM, "more": RULES, "routes": route(policies=["rules"])}
    async with ScriptedUpstream() as up, stage(up, tmp_path, **table) as (_, raw):
        await raw.ask(get("/", "X_Inside: forged", "x-api-key: forged", "X-API_KEY: forged", "Connection: X-Inside"))
        assert b"forged" not in bytes(up.peers[0].received)
        assert up.requests[0].one("X-Inside") == "yes"


# -- who may call ------------------------------------------------------------------------------------------------------

INSIDE = '[policy.inside.allow_list]\naddresses = ["198.51.100.0/24"]\n'
SCREENED = {"more": INSIDE + SIGNED_IN, "routes": route(policies=["inside", "signed-in"])}
TRUSTED = 'trusted_proxies = ["127.0.0.0/8", "203.0.113.0/24"]'
CALLERS = [
    ("", ["X-Forwarded-For: 198.51.100.7"], 403, "127.0.0.1"),  # nobody is trusted: the peer itself counts
    (TRUSTED, [], 403, "127.0.0.1"),
    (TRUSTED, ["X-Forwarded-For: 198.51.100.7"], 200, "198.51.100.7"),
    (TRUSTED, ["X-Forwarded-For: 198.51.100.7, 203.0.113.9"], 200, "198.51.100.7"),
    (TRUSTED, ["X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 203.0.113.9"], 200, "198.51.100.7"),
    (TRUSTED, ["X-Forwarded-For: 198.51.100.7, 192.0.2.66"], 403, "192.0.2.66"),  # forged by 192.0.2.66
    (TRUSTED, ["X-Forwarded-For: 198.51.100.7, nonsense"], 403, "127.0.0.1"),
    (TRUSTED, ['Forwarded: for="198.51.100.7:1234";proto=https'], 200, "198.51.100.7"),
    (TRUSTED, ["Forwarded: for=unknown"], 403, "127.0.0.1"),
    (TRUSTED, ['Forwarded: for=192.0.2.66;host="x, for=198.51.100.7"'], 403, "192.0.2.66"),
    (TRUSTED, ['Forwarded: for="198.51.100.7, for=192.0.2.66'], 403, "192.0.2.66"),
    (TRUSTED, ["Forwarded: for=198.51.100.7", "X-Forwarded-For: 192.0.2.66"], 403, "192.0.2.66"),
    ("", ["X-Forwarded-Proto: https", "Forwarded: for=198.51.100.7;proto=https"], 403, "127.0.0.1"),
]


@pytest.mark.parametrize(("server", "fields", "status", "peer"), CALLERS)
async def test_who_may_call_is_decided_by_the_address_behind_trusted_proxies(
    tmp_path: Path, server: str, fields: list[str], status: int, peer: str
) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, server=server, **SCREENED) as (gw, raw):
        assert (await raw.ask(get("/", bearer(), *fields))).status == status
        record = await gw.record()
        assert (record["peer"], record["outcome"]) == (peer, "answered" if status == 200 else "forbidden")
        if status == 200:
            assert up.requests[0].all("X-Forwarded-For") == [peer]
            assert f"for={peer};" in (up.requests[0].one("Forwarded") or "")


async def test_a_stranger_is_turned_away_before_a_token_is_looked_at(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path, **SCREENED) as (gw, raw):
        for fields in ([], ["Authorization: Bearer rubbish"], [bearer()]):
            found = await raw.ask(get("/", *fields))
            assert (found.status, found.one("WWW-Authenticate")) == (403, None)
        assert {record.get("consumer") for record in await gw.records(3)} == {None}
        assert not up.peers


async def test_a_caller_without_an_address_is_in_no_network(tmp_path: Path) -> None:
    """Over a unix socket; nor does it gain one by saying so."""
    listen = [f"unix:{tmp_path}/g.sock"]
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, listen=listen, server=TRUSTED, **SCREENED), tmp_path),
        client(tmp_path / "g.sock") as raw,
    ):
        assert (await raw.ask(get("/", bearer()))).status == 403
        assert (await raw.ask(get("/", bearer(), "X-Forwarded-For: 198.51.100.7"))).status == 403
        assert not up.peers


# -- bodies ------------------------------------------------------------------------------------------------------------


async def test_a_route_may_take_smaller_or_larger_bodies_than_the_server(tmp_path: Path) -> None:
    more = '[policy.small.body_size]\nmax = "10B"\n[policy.large.body_size]\nmax = "1MiB"\n'
    routes = route("small", "/small", ["small"]) + route("large", "/large", ["large"]) + route("rest")
    sizes = [
        ("/small", 10, 200),
        ("/small", 11, 413),
        ("/rest", 1024, 200),
        ("/rest", 1025, 413),
        ("/large", 5000, 200),
    ]
    async with ScriptedUpstream() as up:
        text = config(up.port, server='max_body = "1KiB"', more=more, routes=routes)
        async with gateway(text, tmp_path) as gw:
            for target, size, status in sizes:
                for request in (post(b"x" * size, target), post_chunked(b"x" * size, target=target)):
                    async with client(gw.port) as raw:
                        assert (await raw.ask(request)).status == status, (target, size)
            records = await gw.records(2 * len(sizes))
    assert [record["outcome"] for record in records].count("too_large") == 4
    assert {len(request.body) for request in up.requests if request.complete} == {10, 1024, 5000}


# -- the old version ---------------------------------------------------------------------------------------------------


async def test_an_http_1_0_poll_is_held_and_answered(tmp_path: Path) -> None:
    """RFC 9112 9.3: kept only where it was asked for, and never answered in chunks."""
    stream = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n"
    routes = route(policies=["cursor-updates"])
    async with ScriptedUpstream((answer(b"[1]"),), (stream,)) as up, stage(up, tmp_path, routes=routes) as (gw, raw):
        kept = await raw.ask(get("/?last_event_id=1", "Connection: keep-alive", version="1.0"))
        assert (kept.status, kept.one("Connection"), bytes(kept.body)) == (200, "keep-alive", b"[1]")
        last = await raw.ask(get("/?last_event_id=1", version="1.0"))
        assert (last.one("Transfer-Encoding"), bytes(last.body)) == (None, b"[1]")
        assert await raw.closed()
        assert [record["outcome"] for record in await gw.records(2)] == ["news", "news"]

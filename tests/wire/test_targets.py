"""Targets and hosts: whatever a client writes, one canonical value is routed, recorded and forwarded, or nothing is.
The protected-prefix test reads paths as badly as any upstream might and looks for one that got in.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.kit.gateways import SIGNED_IN, config, gateway, route
from tests.kit.raw import client, connect, get
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream

SAME = ["/", "/a", "/a/", "/a/b.c", "/~x/-_.!$&'()*+,=:@", "/a...b", "/.well-known", "/a%20b", "/caf%C3%A9"]
REPAIRED = [("/%61", "/a"), ("/a%2Db", "/a-b"), ("/%7Eu", "/~u"), ("/caf%c3%a9", "/caf%C3%A9")]
AMBIGUOUS = [
    "//", "//a", "/a//b", "/a//", "/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/../b", "/a/./b", "/...;/..",
    "/%2e", "/%2E%2e/a", "/a/%2e%2e/b", "/a/.%2e/b", "/%2f", "/a%2Fb", "/a%2f..%2fb", "/%5c", "/a%5C..%5cb", "/a\\b",
    "/..\\a", "/%00", "/a%00.png", "/a;b", "/;a=b/c", "/a;/../b", "/a%3bb", "/a#b", "/#", "/%c0%af", "/%c0%ae%c0%ae/a",
    "/%e0%80%af", "/%f0%80%80%af", "/%ff", "/%252e%252e/a", "/%252f", "/a%25%32%66b", "/%", "/%2", "/%zz", "/a%u002f",
    "/caf\xe9", "/\xc3\xa9", "/a\x7fb", "/%0d%0aX:%20y", "/%0a", "/%7f", "/a\"b", "/a<b>", "/a^b", "/a`b", "/a{b}",
    "/a|b", "/[a]", "a", "?", "http:/a", "http:///a", "ftp://localhost/a", "localhost/a",
]  # fmt: skip


@pytest.mark.parametrize(("raw_path", "canonical"), [*((path, path) for path in SAME), *REPAIRED])
async def test_a_clear_path_is_the_same_everywhere(tmp_path: Path, raw_path: str, canonical: str) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (gw, raw):
        assert (await raw.ask(get(raw_path + "?q=%2e%2e/;"))).status == 200
        assert up.requests[0].target == canonical + "?q=%2e%2e/;"
        record = await gw.record()
        assert record["path"] == canonical


async def test_an_ambiguous_path_is_400_or_one_canonical_value(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        statuses = []
        for path in AMBIGUOUS:
            async with client(gw.port) as raw:
                statuses.append((await raw.ask(get(path))).status)
        records = await gw.records(len(AMBIGUOUS))
    assert [record["status"] for record in records] == statuses
    served = [record["path"] for record in records if record["status"] == 200]
    assert [request.target.partition("?")[0] for request in up.requests] == served
    assert set(statuses) <= {200, 400}
    assert not [path for path in served if any(bad in path for bad in ("..", "//", "\\", ";", "#"))]


def worst_reading(target: str) -> str:
    """The path as the most forgiving server might read it: decoded twice, parameters cut, slashes merged."""
    path = target.partition("?")[0]
    for _ in range(3):
        path = unquote(path, "latin-1")
    path = re.sub(r";[^/]*", "", path.replace("\\", "/").replace("\x00", "").partition("#")[0])
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)


def spellings() -> list[str]:
    slashes = ["/", "//", "%2f", "%2F", "\\", "%5c", "/./", "/%2e/", ";/", ";x=y/", "%252f", "/\t", "/%00/"]
    dots = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "%252e%252e",
        "..;",
        "..%00",
        "%c0%ae%c0%ae",
        "\u2025".encode().decode("latin-1"),
    ]
    names = [
        "admin",
        "%61dmin",
        "adm%69n",
        "admin;x",
        "admin%00",
        "ADMIN",
        "admin.",
        "%2561dmin",
        "admin#",
        "admin%20",
    ]
    found = [f"{one}{name}{two}x" for one, name, two in itertools.product(slashes, names, ["/", "%2f", "\\"])]
    found += [
        f"/public{one}{dot}{two}{name}/x"
        for one, dot, two, name in itertools.product(slashes, dots, slashes[:6], names[:1])
    ]
    return [target if target.startswith("/") else "/" + target for target in found]


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_no_spelling_reaches_a_protected_prefix(tmp_path: Path) -> None:
    routes = route("admin", "/admin/**", ["signed-in"]) + route("admin2", "/admin", ["signed-in"]) + route("rest")
    async with (
        ScriptedUpstream(faults=True) as up,
        stage(up, tmp_path, more=SIGNED_IN, routes=routes) as (gw, raw),
    ):
        for target in spellings():
            found = await raw.ask(get(target))
            assert found.status in (200, 400, 401, 404), target
            if found.one("Connection") == "close":
                await raw.close()
                raw = await connect(gw.port)
        await raw.close()
        reached = {request.target for request in up.requests}
        guarded = {target for target in reached if f"{worst_reading(target)}/".startswith("/admin/")}
        assert not guarded
        assert not up.faults
        records = await gw.records(len(spellings()))
        assert {record["path"] for record in records if record["status"] == 200} == reached


HOSTS = [
    ("missing", [], 400),
    ("one", ["localhost"], 200),
    ("with port", ["localhost:8080"], 200),
    ("IPv6", ["[::1]:80"], 200),
    ("upper case", ["LOCALHOST"], 200),
    ("two equal", ["localhost", "localhost"], 400),
    ("two different", ["localhost", "evil.test"], 400),
    ("userinfo", ["user:pass@localhost"], 400),
    ("space", ["local host"], 400),
    ("path", ["localhost/../x"], 400),
    ("comma", ["localhost, evil.test"], 400),
    ("bad port", ["localhost:80x"], 400),
    ("negative port", ["localhost:-1"], 400),
    ("query", ["localhost?x"], 400),
    ("fragment", ["localhost#x"], 400),
    ("backslash", ["localhost\\x"], 400),
    ("percent", ["local%68ost"], 400),
    ("open bracket", ["[::1"], 400),
    ("obs-text", ["l\xf6calhost"], 400),
    ("control", ["local\x01host"], 400),
]


@pytest.mark.parametrize(("hosts", "status"), [case[1:] for case in HOSTS], ids=[case[0] for case in HOSTS])
async def test_a_request_has_exactly_one_good_host(tmp_path: Path, hosts: list[str], status: int) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get("/", *(f"Host: {host}" for host in hosts), host=None))).status == status
        assert len(up.requests) == (1 if status == 200 else 0)


ABSOLUTE = [
    ("http://localhost/a?b", "localhost", 200),
    ("http://LocalHost/a?b", "localhost", 200),
    ("http://localhost", "localhost", 200),
    ("http://evil.test/a", "localhost", 400),
    ("http://localhost:81/a", "localhost", 400),
    ("http://user@localhost/a", "localhost", 400),
    ("http://user@localhost/a", "user@localhost", 400),
    ("http://localhost/../a", "localhost", 400),
    ("http://localhost\\evil.test/a", "localhost", 400),
    ("http://", "localhost", 400),
    ("HTTP://localhost/a", "localhost", 200),
]


@pytest.mark.parametrize(("target", "host", "status"), ABSOLUTE)
async def test_an_absolute_target_agrees_with_its_host(tmp_path: Path, target: str, host: str, status: int) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get(target, host=host))).status == status
        assert [request.target for request in up.requests] in ([], ["/a?b"], ["/"], ["/a"])
        assert len(up.requests) == (1 if status == 200 else 0)


async def test_http_1_0_needs_no_host(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        assert (await raw.ask(get(host=None, version="1.0"))).status == 200
        assert len(up.requests) == 1

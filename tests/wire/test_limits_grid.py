"""The last size that passes and the first that does not, for everything a client may make long; and bodies whose length
is a lie, or that nobody asked for: what is refused is told so before a byte of it is wanted (RELIABILITY row 33).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.gateways import SIGNED_IN, bearer, config, gateway, route
from tests.kit.raw import client, get, post_chunked
from tests.kit.stage import stage
from tests.kit.upstreams import ScriptedUpstream
from tests.kit.waiting import until

KIB, MIB = 1024, 1024 * 1024
ONE_MIB = 'max_body = "1MiB"'
ONCE = '[[policy.once.rate_limit]]\nrate = "1/hour"\nburst = 1\nper = "{per}"\n'
BIG = ("Expect: 100-continue", f"Content-Length: {10 * MIB}")


def line_of(size: int) -> str:
    """A request whose first line has so many bytes."""
    return get("/" + "a" * (size - len("GET / HTTP/1.1"))).decode()


def fields(number: int) -> str:
    """A request with so many header fields."""
    own = get().count(b"\r\n") - 2
    return get("/", *(f"X-{n}: y" for n in range(number - own))).decode()


def head_of(size: int) -> str:
    """A request whose head has so many bytes; no line of it is long."""
    left = size - len(get("/", "X: "))
    return get("/", "X: " + "y" * left).decode()


GRID = {
    "a line of 8 KiB": (line_of(8 * KIB), 200),
    "a line of a byte more": (line_of(8 * KIB + 1), 414),
    "128 fields": (fields(128), 200),
    "129 fields": (fields(129), 431),
    "a head of 16 KiB": (head_of(16 * KIB), 200),
    "a head of a byte more": (head_of(16 * KIB + 1), 431),
    "a body of 1 MiB": (get("/", f"Content-Length: {MIB}", method="POST").decode() + "x" * MIB, 200),
    "a body of a byte more": (get("/", f"Content-Length: {MIB + 1}", method="POST").decode() + "x" * (MIB + 1), 413),
    "a chunked body of 1 MiB": (post_chunked(b"x" * MIB).decode(), 200),
    "a chunked body of a byte more": (post_chunked(b"x" * MIB, b"x").decode(), 413),
}


@pytest.mark.parametrize(("request_text", "status"), GRID.values(), ids=list(GRID))
async def test_the_last_that_passes_and_the_first_that_does_not(tmp_path: Path, request_text: str, status: int) -> None:
    async with ScriptedUpstream(faults=True) as up, stage(up, tmp_path, server=ONE_MIB) as (gw, raw):
        raw.writer.write(request_text.encode())
        assert (await raw.read_answer()).status == status
        assert (await gw.record())["status"] == status
        assert sum(request.complete for request in up.requests) == (status == 200)


async def test_what_lies_behind_a_body_that_is_longer_than_it_says_is_no_part_of_it(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (_, raw):
        await raw.send(get("/", "Content-Length: 5", method="POST") + b"12345GARBAGE\r\n\r\n")
        assert [one.status for one in await raw.read_all()] == [200, 400]
        assert [bytes(request.body) for request in up.requests] == [b"12345"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_ends_before_it_should_is_never_complete_upstream(tmp_path: Path, framing: str) -> None:
    begun = get("/", "Content-Length: 10", method="POST") + b"12345"
    async with ScriptedUpstream() as up, stage(up, tmp_path) as (gw, raw):
        await raw.send(begun if framing == "length" else post_chunked(b"12345", end=False))
        await until(lambda: up.requests and up.requests[0].body == b"12345")
        raw.half_close()
        await until(lambda: up.live == 0)
        assert not up.requests[0].complete
        assert (await gw.record())["outcome"] == "client_gone"


@pytest.mark.parametrize(
    ("credential", "server", "status", "outcome"),
    [
        ("", "", 401, "unauthenticated"),
        ("Authorization: Bearer made.up.token", "", 401, "unauthenticated"),
        (bearer(), ONE_MIB, 413, "too_large"),
    ],
    ids=["no token", "a bad token", "too large"],
)
async def test_a_body_that_is_refused_is_not_asked_for(
    tmp_path: Path, credential: str, server: str, status: int, outcome: str
) -> None:
    """10 MiB that wait for `100 Continue`: not one byte of them is wanted."""
    async with ScriptedUpstream() as up:
        text = config(up.port, server=server, more=SIGNED_IN, routes=route(policies=["signed-in"]))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            found = await raw.ask(get("/", *BIG, *filter(None, [credential]), method="POST"))
            assert (found.status, found.interim, found.one("Connection")) == (status, [], "close")
            assert await raw.closed()
            record = await gw.record()
            assert (record["outcome"], record["bytes_in"]) == (outcome, 0)
            assert not up.requests


@pytest.mark.parametrize("per", ["address", "consumer"])
async def test_a_body_over_a_rate_is_not_asked_for(tmp_path: Path, per: str) -> None:
    """Whether the limit is asked before or after the token."""
    more, policies = SIGNED_IN + ONCE.format(per=per), ["signed-in", "once"]
    async with ScriptedUpstream() as up:
        text = config(up.port, more=more, routes=route(policies=policies))
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            assert (await raw.ask(get("/", bearer()))).status == 200
            found = await raw.ask(get("/", *BIG, bearer(), method="POST"))
            assert (found.status, found.interim) == (429, [])
            assert await raw.closed()
            assert [record["outcome"] for record in await gw.records(2)] == ["answered", "rate_limited"]
            assert len(up.requests) == 1

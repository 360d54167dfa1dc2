"""The call log of a running gateway: one line for everything that happened on a connection, whatever it was; a log that
cannot be written harms no call; and no secret is in it, nor anywhere else that a person may look.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.gateways import SECRET, SIGNED_IN, bearer, config, gateway, gateway_process, hold, process_config, route
from tests.kit.gateways import token as make_token
from tests.kit.raw import client, connect, get, post, post_chunked
from tests.kit.strict import Cut
from tests.kit.upstreams import End, HoldingUpstream, ScriptedUpstream, answer
from tests.kit.waiting import until

OWN_LOOP = pytest.mark.asyncio(loop_factories=["asyncio"])  # the gateway chooses its own loop in a process
UNTOLD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


async def test_whatever_happens_on_a_connection_is_one_record_each(tmp_path: Path) -> None:
    """Served, refused, malformed and cut off: as many lines as there were requests, each with an id of its own."""
    routes = route("only", "/only/**", ["signed-in"])
    requests = [
        get("/only/x", bearer()), get("/only/x"), get("/nowhere"), get("/only/x", method="TRACE"),
        b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", get("/%00"), get("/" + "a" * 20_000), get(version="3.0"),
        post_chunked(b"x" * 2000, target="/only/x", fields=[bearer()]), get(method="BREW"), get("*", method="OPTIONS"),
    ]  # fmt: skip
    async with ScriptedUpstream() as up:
        text = config(up.port, server='max_body = "1KiB"', more=SIGNED_IN, routes=routes)
        async with gateway(text, tmp_path) as gw:
            statuses = []
            for request in requests:
                async with client(gw.port) as raw:
                    await raw.send(request)
                    statuses.append((await raw.read_answer()).status)
            records = await gw.records(len(requests))
    assert [record["status"] for record in records] == statuses
    assert len({record["id"] for record in records}) == len(requests)
    assert all(record["outcome"] and record["time"] and record["took"] >= 0 for record in records)


async def test_bytes_that_never_became_a_request_are_no_record(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up, gateway(config(up.port), tmp_path) as gw:
        for sent in (b"", b"\r\n\r\n", b"GET / HT"):
            async with client(gw.port) as raw:
                await raw.send(sent)
        async with client(gw.port) as raw:
            await raw.ask(get("/last"))
        assert (await gw.record())["path"] == "/last"


async def test_nothing_of_a_request_stands_raw_in_its_line(tmp_path: Path) -> None:
    wild = "%0d%0a%1b[2J%c2%85%e2%80%a8%00%22}"
    more = hold(cursor='{ request = ["query:since", "header:X-Since"] }')
    log = 'query_values = ["since"]'
    async with ScriptedUpstream() as up:
        text = config(up.port, more=more, routes=route(policies=["poll"]), log=log)
        async with gateway(text, tmp_path) as gw, client(gw.port) as raw:
            await raw.ask(get(f"/?since={wild}&{wild}=1"))
            await raw.ask(get("/", "X-Since: \xe2\x80\xa8\xff\xc2\x9b"))
            records = await gw.records(2)
            text = gw.log.read_bytes().decode("utf-8")
    assert text.count("\n") == len(text.splitlines()) == 2
    assert not UNTOLD.search(text.replace("\n", ""))
    assert [record["outcome"] for record in records] == ["news", "news"]
    assert "cursor" in records[1]


async def test_a_full_disk_harms_no_call_and_is_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, calls="/dev/full"), tmp_path) as gw,
        client(gw.port) as raw,
    ):
        for _ in range(5):
            assert (await raw.ask(get())).status == 200
        await until(lambda: gw.app._telemetry.log.dropped == 5)
        assert (await raw.ask(get())).status == 200
    said = capfd.readouterr().err
    assert "lines dropped" in said
    assert "No space left" in said


async def test_a_pipe_nobody_reads_harms_no_call(tmp_path: Path) -> None:
    """The writer hangs in the pipe, the loop does not; what was kept comes out when somebody reads again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    plug = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    try:
        while True:
            os.write(plug, b" " * 4095 + b"\n")
    except BlockingIOError:
        pass  # it is full
    async with ScriptedUpstream() as up, gateway(config(up.port, calls=str(pipe)), tmp_path) as gw:
        async with client(gw.port) as raw:
            for number in range(20):
                assert (await raw.ask(get(f"/{number}"))).status == 200
            await until(lambda: gw.app._telemetry.log._writers[0]._queued)
            data = bytearray()

            def read() -> bool:
                try:
                    data.extend(os.read(reader, 1 << 20))
                except BlockingIOError:
                    pass
                return data.count(b'"path"') == 20

            await until(read, "the records come out")
        assert gw.app._telemetry.log.dropped == 0
    os.close(plug)
    os.close(reader)
    found = [json.loads(line) for line in data.splitlines() if line.strip()]
    assert [record["path"] for record in found] == [f"/{number}" for number in range(20)]


@OWN_LOOP
async def test_records_go_to_standard_output_and_everything_else_to_standard_error(tmp_path: Path) -> None:
    async with ScriptedUpstream() as up:
        text = process_config(up.port).replace('"file:calls.jsonl"', '"stdout"')
        with gateway_process(text, tmp_path) as gw:
            async with client(gw.port) as raw:
                assert (await raw.ask(get("/x"))).status == 200
            await until(lambda: b'"path":"/x"' in gw.output.read_bytes())
            gw.terminate()
            assert await gw.exit_code() == 0
            lines = gw.output.read_text().splitlines()
    records = [line for line in lines if line.startswith("{")]
    assert [json.loads(line)["outcome"] for line in records] == ["answered"]
    assert all(line.startswith(("INFO ", "WARNING ")) for line in lines if line not in records)


async def test_no_secret_is_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tokens good and bad, in every place and ending: not in the log, in no answer, on no page of the admin side."""
    caplog.set_level(logging.DEBUG)
    good, late = make_token("alice"), make_token("alice", ttl=-3600)
    needle = "s3cr3t-of-the-upstream"
    os.environ["GATEWAY_TEST_NEEDLE"] = needle
    signed = SIGNED_IN.replace(
        "[policy.", 'from = ["header:Authorization", "cookie:sid", "query:access_token", "path:key"]\n[policy.'
    )
    more = signed + hold(secret='["query:apikey"]', cursor='{ request = "query:since" }')
    names = ["signed-in", "poll"]
    routes = route("path", "/bot/{key}/x", names) + route("rest", "/rest", names, match='methods = ["GET"]')
    log = 'query_values = ["access_token", "apikey", "plain"]'
    upstream = 'headers = { set = { X-Key = "env:GATEWAY_TEST_NEEDLE" } }'
    extra = "apikey=s3cr3t-query&since=7&plain=yes"
    answers = bytearray()
    begun = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"
    scripts = [(answer(b"[1]"),), (End.RESET,), (End.RESET,), (begun, End.CLOSE)]
    async with ScriptedUpstream(*scripts) as up:
        text = config(up.port, more=more, routes=routes, log=log, upstream=upstream)
        async with gateway(text, tmp_path) as gw:
            requests = [
                get(f"/rest?{extra}", f"Authorization: Bearer {good}"),
                get(f"/rest?{extra}", f"Authorization: Bearer {good}"),  # the upstream resets it, twice
                get(f"/rest?{extra}&access_token={good}"),  # it is cut
                get(f"/bot/{good}/x?{extra}"),
                get("/rest", f"Cookie: sid={good}"),
            ]
            for secret in (late, good[:-4], good[: len(good) // 2]):
                requests += [
                    get(f"/rest?access_token={secret}&{extra}"), get(f"/bot/{secret}/x"),
                    get("/rest", f"Cookie: sid={secret}"), get("/rest", f"Authorization: Bearer {secret}"),
                ]  # fmt: skip
            requests += [
                post(b"", f"/rest?access_token={good}"), get(f"/bot/{good}/x", method="POST"),
                get(f"/nowhere?access_token={good}"), get(f"/rest?access_token={good}#x"),
                get("/rest", f"Authorization: Bearer {good}", f"Authorization: Bearer {good}"),
                get("/rest", f"Authorization : Bearer {good}"), get(f"/rest?access_token={good}", "X: \x00"),
            ]  # fmt: skip
            for request in requests:
                async with client(gw.port) as raw:
                    await raw.send(request)
                    try:
                        found = await raw.read_answer()
                    except Cut as cut:
                        found = cut.message or found
                    answers += found.raw_head + found.body
            records = await gw.records(len(requests))
            for path in ("/healthz", "/readyz", "/api/held", "/api/routes"):
                answers += (await gw.admin(path))[1]
            shown = gw.log.read_text() + answers.decode("latin-1") + caplog.text
    assert len(records) == len(requests)
    assert records[0]["query_values"] == {"plain": "yes"}
    assert {"news", "upstream_reset", "truncated", "unauthenticated"} <= {record["outcome"] for record in records}
    parts = {part for secret in (good, late) for part in secret.split(".")[1:]}
    for secret in (*parts, needle, "s3cr3t-query", SECRET):
        assert secret not in shown


async def test_a_cursor_that_the_dialect_calls_secret_is_hidden(tmp_path: Path) -> None:
    more = hold(secret='["query:since"]', cursor='{ request = "query:since" }')
    async with (
        ScriptedUpstream() as up,
        gateway(config(up.port, more=more, routes=route(policies=["poll"])), tmp_path) as gw,
    ):
        async with client(gw.port) as raw:
            assert (await raw.ask(get("/?since=s3cr3t"))).status == 200
        assert "s3cr3t" not in str(await gw.record())


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "TRACE"])
async def test_a_secret_in_the_path_is_hidden_whatever_the_method(tmp_path: Path, method: str) -> None:
    more = SIGNED_IN.replace("[policy.", 'from = ["path:key"]\n[policy.')
    routes = route(path="/bot/{key}/x", policies=["signed-in"])
    secret = make_token()
    async with ScriptedUpstream() as up, gateway(config(up.port, more=more, routes=routes), tmp_path) as gw:
        async with client(gw.port) as raw:
            await raw.ask(get(f"/bot/{secret}/x", method=method))
        assert (await gw.record())["path"] == "/bot/***/x"


async def test_what_is_held_shows_no_secret_either(tmp_path: Path) -> None:
    more = SIGNED_IN.replace("[policy.", 'from = ["path:key", "query:t"]\n[policy.') + hold()
    routes = route("a", "/bot/{key}", ["signed-in", "poll"]) + route("b", "/b", ["signed-in", "poll"])
    secret = make_token()
    async with HoldingUpstream() as up, gateway(config(up.port, more=more, routes=routes), tmp_path) as gw:
        clients = [await connect(gw.port) for _ in range(2)]
        for raw, target in zip(clients, (f"/bot/{secret}", f"/b?t={secret}"), strict=True):
            await raw.send(get(target))
        await until(lambda: up.held == 2)
        status, body = await gw.admin("/api/held")
        assert (status, json.loads(body)["held"]) == (200, 2)
        assert secret.split(".")[2].encode() not in body
        assert b"/bot/***" in body
        for raw in clients:
            await raw.close()
        assert Counter(record["outcome"] for record in await gw.records(2)) == {"client_gone": 2}
        assert secret.split(".")[2] not in gw.log.read_text()


async def test_a_secret_before_a_typo_in_the_path_is_hidden_too(tmp_path: Path) -> None:
    """No route matches, so nobody says which part is the token: everything behind the route's beginning is."""
    more = SIGNED_IN.replace("[policy.", 'from = ["path:key"]\n[policy.')
    routes = route(path="/bot/{key}/x", policies=["signed-in"])
    async with ScriptedUpstream() as up, gateway(config(up.port, more=more, routes=routes), tmp_path) as gw:
        async with client(gw.port) as raw:
            assert (await raw.ask(get("/bot/s3cr3t/typo"))).status == 404
        record = await gw.record()
    assert record["path"] == "/bot/***" and "s3cr3t" not in str(record)

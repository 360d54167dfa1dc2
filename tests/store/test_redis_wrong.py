"""Gateways that start before a Redis server which is not as it should be, in every way that is known: one sentence says
what, where and what to do; calls are served as `on_failure` says; all can see it, but nobody a secret; and when the
server is as it should be, so is all else, without anybody's help.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.state.bucket import Rate
from gateway.state.store import Place, Tokens
from tests.kit.gateways import InProcess, Running, config, gateway, gateway_process, process_config, route
from tests.kit.limits import limit
from tests.kit.ports import free_port
from tests.kit.raw import client, get
from tests.kit.redis_nodes import asked_again, nodes, places, poll
from tests.kit.redis_server import RedisServer
from tests.kit.sick_redis import Serve, SickRedis, sick_redis
from tests.kit.upstreams import ScriptedUpstream, answer
from tests.kit.waiting import soon, until

SECRET = "hunter2-is-secret"
STRANGE = f"WEIRD what is\x1b[2J AUTH gateway {SECRET}"
ALICE = Tokens("free", "alice", Rate(600.0, 6))
Break = Callable[[ExitStack, SickRedis], None]


def says(command: str, error: str) -> Break:
    return lambda _, sick: sick.answers.update({command: error})


def stranger(serve: Serve) -> Break:
    return lambda _, sick: setattr(sick, "stranger", serve)


def hangs(client: socket.socket) -> None:
    while client.recv(1000):
        pass


def answers(what: bytes) -> Serve:
    def serve(client: socket.socket) -> None:
        client.recv(1000)
        client.sendall(what)
        hangs(client)

    return serve


@dataclass(frozen=True, slots=True)
class Case:
    """What is wrong, how that is counted, and what is told of it."""

    wrong: Break
    kind: str
    sentence: str


CASES = {
    "loading": Case(says("HELLO", "LOADING Redis is loading the dataset in memory"), "loading", "until it is done"),
    "busy": Case(says("EVALSHA", "BUSY Redis is busy running a script."), "busy", "end that by SCRIPT KILL"),
    "moved": Case(says("EVALSHA", "MOVED 1234 10.0.0.1:6379"), "moved", "name a server that stands alone"),
    "ask": Case(says("EVALSHA", "ASK 1234 10.0.0.1:6379"), "moved", "name a server that stands alone"),
    "masterdown": Case(says("EVALSHA", "MASTERDOWN Link with MASTER is down"), "masterdown", "name the primary"),
    "misconf": Case(says("EVALSHA", "MISCONF Redis is configured to save RDB snapshots"), "misconf", "make room"),
    "clients": Case(says("HELLO", "ERR max number of clients reached"), "clients", "raise maxclients there"),
    "old": Case(says("HELLO", f"ERR unknown command `HELLO`, with args: `{SECRET}`"), "old", "newer"),
    "weird": Case(says("HELLO", STRANGE), "other", "see what its log says (WEIRD what is [2J AUTH gateway ***)"),
    "protected": Case(stranger(answers(b"-DENIED Redis is running in protected mode because\r\n")), "protected",
                      "give it a password"),
    "web": Case(stranger(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n")), "not redis", "correct the address"),
    "noise": Case(stranger(answers(bytes(range(1, 10)) * 999)), "not redis", "correct the address"),
    "agrees": Case(stranger(answers(b"+OK\r\n" * 99)), "garbage", "see whether something between changes it"),
    "closes": Case(stranger(lambda client: None), "plain", "write rediss:// if it does"),
    "hangs": Case(stranger(hangs), "timeout", "see whether the address is right"),
}  # fmt: skip


def state(port: int, prefix: str, folder: Path, on_failure: str = "local", user: str = "") -> str:
    (folder / "password").write_text(SECRET)
    lines = {"url": f"redis://127.0.0.1:{port}", "prefix": prefix, "on_failure": on_failure, "user": user,
             "password": f"file:{folder}/password"}  # fmt: skip
    return "[state]\n" + "".join(f'{key} = "{value}"\n' for key, value in lines.items() if value)


def limited(make: Callable[..., str], port: int, table: str) -> str:
    return make(port, more=limit("1000/day") + table, routes=route("all", "/**", ["limits"]))


async def shown(gw: Running, kind: str) -> tuple[str, str]:
    """How the store is, by the probe and by the overview; and that metrics know."""
    detail = json.loads((await gw.admin("/readyz"))[1])["detail"]
    metrics = (await gw.admin("/metrics"))[1].decode()
    told = json.loads((await gw.admin("/api/overview"))[1])["state"]
    up = "limits are not shared" not in detail
    assert told["answers"] is up and f"longpoll_state_up {int(up)}" in metrics
    assert up or (told["errors"][kind] and f'longpoll_state_errors_total{{kind="{kind}"}}' in metrics)
    assert SECRET not in f"{detail}{metrics}{told}"
    return detail, told["why"]


async def serves(gw: InProcess) -> int:
    async with client(gw.port) as raw:
        return (await raw.ask(get("/"))).status


async def check(gw: InProcess, case: Case, caplog: pytest.LogCaptureFixture, mend: Callable[[], None]) -> None:
    assert await serves(gw) == 200
    detail, why = await shown(gw, case.kind)
    assert case.sentence in detail and why in detail and why.isprintable()
    told = [record.getMessage() for record in caplog.records if record.getMessage().startswith("state.url")]
    assert len(told) == 1 and told[0].startswith(why) and "each node decides alone" in told[0]
    mend()
    condition = gw.app._store.condition  # type: ignore[union-attr]
    await until(lambda: condition.answers, "it is asked by itself")
    await shown(gw, case.kind)
    assert await serves(gw) == 200 and condition.decisions == {"asked": 1, "alone": 1, "refused": 0, "open": 0}
    assert SECRET not in caplog.text and "Traceback" not in caplog.text


@pytest.mark.parametrize("name", CASES)
async def test_a_wrong_server_is_told_of_and_asked_as_soon_as_it_is_right(
    redis: RedisServer, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    with ExitStack() as stack, caplog.at_level(logging.INFO, "gateway"):
        sick = stack.enter_context(sick_redis(redis.port))
        CASES[name].wrong(stack, sick)
        async with ScriptedUpstream(then=[answer()]) as up:
            async with gateway(limited(config, up.port, state(sick.port, prefix, tmp_path)), tmp_path) as gw:
                await check(gw, CASES[name], caplog, sick.recovers)
                assert sick.connections == 1, "the failed ones are closed"
            await until(lambda: not sick.connections)


@pytest.mark.parametrize(
    "lacks",
    [
        "-evalsha",
        "-script",
        "-publish",
        "-subscribe",
        "-zadd",
        "-zrem",
        "-hget",
        "-time",
        "resetkeys",
        "resetchannels",
    ],
)
async def test_a_user_that_may_not_do_all_is_told_of_before_anything_is_done_by_halves(
    own: RedisServer, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, lacks: str
) -> None:
    rights = f"~{prefix}:* resetchannels &{prefix}:* +@all"
    own.ask("ACL", "SETUSER", "gw", "on", f">{SECRET}", *rights.split(), lacks)
    with caplog.at_level(logging.INFO, "gateway"):
        async with ScriptedUpstream(then=[answer()]) as up:
            text = limited(config, up.port, state(own.port, prefix, tmp_path, user="gw"))
            async with gateway(text, tmp_path) as gw:
                case = Case(lambda *_: None, "noperm", "give it the commands and keys that docs/state.md lists")
                await check(gw, case, caplog, lambda: own.ask("ACL", "SETUSER", "gw", *rights.split()))
                assert not own.keys(f"{prefix}:*:trial")


@pytest.mark.parametrize("name", ["web", "weird", "hangs"])
async def test_a_gateway_that_may_only_serve_with_it_ends_with_one_sentence(
    redis: RedisServer, prefix: str, tmp_path: Path, name: str
) -> None:
    with ExitStack() as stack:
        sick = stack.enter_context(sick_redis(redis.port))
        CASES[name].wrong(stack, sick)
        text = limited(process_config, free_port(), state(sick.port, prefix, tmp_path, "closed"))
        with pytest.raises(AssertionError), gateway_process(text, tmp_path):
            pass
        said = (tmp_path / "output.txt").read_text("utf-8").splitlines()
        told = [line for line in said if "state.url" in line]
        assert len(told) == 1 and told[0] == said[-1] and told[0].startswith("Error: state.url: redis://127.0.0.1:")
        assert CASES[name].sentence in told[0] and SECRET not in "".join(said)


async def test_a_process_that_serves_without_it_says_when_that_begins_and_when_it_ends(
    redis: RedisServer, prefix: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        sick = stack.enter_context(sick_redis(redis.port))
        CASES["weird"].wrong(stack, sick)
        text = limited(process_config, free_port(), state(sick.port, prefix, tmp_path, "open"))
        gw = await asyncio.to_thread(stack.enter_context, gateway_process(text, tmp_path))
        assert CASES["weird"].sentence in (await shown(gw, "other"))[0]
        sick.recovers()
        await until(lambda: "it answers again" in gw.output.read_text("utf-8"))
        assert (await shown(gw, "other"))[0] == "serving"
        gw.terminate()
        assert await gw.exit_code() == 0
        said = gw.output.read_text("utf-8")
        told = [line for line in said.splitlines() if "state.url" in line]
        assert len(told) == 2 and "nothing is limited until it answers" in told[0]
        assert SECRET not in said and "Traceback" not in said


@pytest.mark.parametrize(
    "nonsense", [b"[[[1]],[]]", b"[[[0,9,1,1]],[]]", b"[[5],[]]", b"[]", b"7", b'"x"', b"{", b"[[[2]],null]"]
)
async def test_answers_that_make_no_sense_leave_no_call_without_one(
    redis: RedisServer, prefix: str, nonsense: bytes
) -> None:
    with sick_redis(redis.port) as sick:
        async with nodes(f"redis://127.0.0.1:{sick.port}", prefix) as (node,):
            sick.answers = {"EVALSHA": nonsense, "EVAL": nonsense}
            taken = [node.take(Place("cap", "alice", 9, "alice"), ALICE, holder=poll()) for _ in range(3)]
            assert await soon(asyncio.gather(*taken)) == [None, None, None]
            assert not node.asked and node.store.condition.errors["garbage"]
            sick.recovers()
            await asked_again(node)
            await until(lambda: places(redis, prefix) == len(node.store.mirror.lent) == 3)

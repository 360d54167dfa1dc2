"""Gateways with a Redis server: the right one, one that is not there, one that lets nobody in, and what is none.
Whoever starts it reads one sentence, and `on_failure` decides whether it serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.config.problems import ConfigError
from tests.kit.certificates import make_certificate
from tests.kit.gateways import InProcess, config, gateway, hold, route
from tests.kit.limits import cap, limit
from tests.kit.ports import free_port
from tests.kit.raw import client, get
from tests.kit.redis_server import RedisServer, redis_server
from tests.kit.relay import relay
from tests.kit.upstreams import HoldingUpstream, ScriptedUpstream
from tests.kit.waiting import until


def state(url: str, prefix: str, on_failure: str = "local", **more: str) -> str:
    lines = {"url": url, "prefix": prefix, "on_failure": on_failure, **more}
    return "[state]\n" + "".join(f'{key} = "{value}"\n' for key, value in lines.items())


@contextlib.asynccontextmanager
async def nodes(number: int, up: ScriptedUpstream, folder: Path, table: str) -> AsyncIterator[list[InProcess]]:
    policies = cap(most=2, per='"route"') + limit("100/day") + hold()
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for at in range(number):
            (folder / str(at)).mkdir()
            text = config(up.port, more=policies + table, routes=route("all", "/**", ["limits", "poll"]))
            found.append(await stack.enter_async_context(gateway(text, folder / str(at))))
        yield found


async def detail(gw: InProcess) -> str:
    status, body = await gw.admin("/readyz")
    assert status == 200
    return str(json.loads(body)["detail"])


async def test_two_gateways_have_one_cap_and_one_rate(redis: RedisServer, prefix: str, tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        nodes(2, up, tmp_path, state(redis.url, prefix)) as (a, b),
        client(a.port) as first, client(b.port) as second, client(b.port) as third, client(a.port) as fourth,
    ):  # fmt: skip
        await first.send(get("/"))
        await second.send(get("/"))
        await until(lambda: up.held == 2)
        refused = await third.ask(get("/"))
        assert refused.status == 429 and b"too_many_polls" in bytes(refused.body)
        await first.close()
        await until(lambda: up.held == 1)
        await until(lambda: redis.ask("ZCARD", redis.keys(f"{prefix}:l")[0]) == 1)
        await fourth.send(get("/"))
        await until(lambda: up.held == 2)
        up.publish()
        answered = await fourth.read_answer()
        assert answered.status == 200 and b"r=97" in str(answered.one("RateLimit")).encode()
        assert await detail(a) == "serving"
        metrics = (await b.admin("/metrics"))[1].decode()
        assert "longpoll_state_up 1" in metrics and 'longpoll_state_decisions_total{by="asked"} 2' in metrics


async def test_a_gateway_that_stops_leaves_nothing_behind(redis: RedisServer, prefix: str, tmp_path: Path) -> None:
    async with HoldingUpstream() as up:
        async with nodes(1, up, tmp_path, state(redis.url, prefix)) as (gw,), client(gw.port) as raw:
            await raw.send(get("/"))
            await until(lambda: up.held == 1)
            assert redis.keys(f"{prefix}:l")
        assert not redis.keys(f"{prefix}:l") and not redis.ask("EXISTS", f"{prefix}:nodes")


async def listening(stack: contextlib.AsyncExitStack, serve: Callable[..., None]) -> int:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    stack.callback(server.close)
    return int(server.sockets[0].getsockname()[1])


@contextlib.asynccontextmanager
async def servers(kind: str, redis: RedisServer, folder: Path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """A URL that does not lead to what it should, and further settings."""
    async with contextlib.AsyncExitStack() as stack:
        if kind == "refused":
            yield f"redis://127.0.0.1:{free_port()}", {}
        elif kind == "not redis":
            yield f"redis://127.0.0.1:{await listening(stack, lambda reader, writer: writer.write(BAD_REQUEST))}", {}
        elif kind in ("noauth", "wrongpass"):
            server = stack.enter_context(redis_server("--requirepass", "right"))
            yield server.url, {"password": f"file:{folder}/wrong"} if kind == "wrongpass" else {}
        elif kind == "database":
            yield redis.url.removesuffix("/0") + "/1234", {}
        elif kind == "tls":
            yield redis.url.replace("redis://", "rediss://"), {}
        elif kind == "timeout":
            yield f"redis://127.0.0.1:{await listening(stack, lambda reader, writer: None)}", {}
        else:
            own = make_certificate(folder / "own", "127.0.0.1" if kind == "certificate" else "other.test")
            between = await stack.enter_async_context(relay(redis.port, own.server()))
            url = f"redis{'s' if kind != 'plain' else ''}://127.0.0.1:{between.port}"
            yield url, {"ca": f"file:{own.cert}"} if kind == "name" else {}


BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
WRONG = {
    "refused": "nothing listens there; start the server",
    "not redis": "no Redis server; correct the address",
    "noauth": "asks for a password; write password",
    "wrongpass": "refuses the user or the password; correct",
    "database": "no database of that number; write one that it has",
    "tls": "speaks no TLS, write redis://",
    "timeout": "does not answer; see whether the address is right",
    "plain": "write rediss://",
    "certificate": "certificate is not to be trusted; name its authority in state.ca",
    "name": "correct the host name",
}


@pytest.mark.parametrize("kind", WRONG)
async def test_a_wrong_server_is_told_in_one_sentence_and_on_failure_decides(
    redis: RedisServer, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    (tmp_path / "wrong").write_text("no")
    async with HoldingUpstream() as up, servers(kind, redis, tmp_path) as (url, more):
        (tmp_path / "closed").mkdir()
        with pytest.raises(ValueError, match=r"^state\.url: rediss?://127\.0\.0\.1:") as refused:
            async with nodes(1, up, tmp_path / "closed", state(url, prefix, "closed", **more)):
                pass
        assert WRONG[kind] in str(refused.value), str(refused.value)
        (tmp_path / "local").mkdir()
        with caplog.at_level(logging.WARNING, "gateway"):
            async with (
                nodes(1, up, tmp_path / "local", state(url, prefix, "local", **more)) as (gw,),
                client(gw.port) as raw,
            ):
                await raw.send(get("/"))
                await until(lambda: up.held == 1, "it serves")
                assert WRONG[kind] in await detail(gw)
        said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("state.url")]
        assert WRONG[kind] in said[0] and len(said) <= 3 and len(set(said)) == len(said), said


def documented_user(name: str, secret: str, prefix: str) -> list[str]:
    """The command of docs/state.md that makes one."""
    page = (Path(__file__).parents[2] / "docs" / "state.md").read_text("utf-8")
    command = page[page.index("ACL SETUSER gateway") :].partition("```")[0].split()
    changes = {"gateway": name, ">SECRET": f">{secret}", "&gateway:*": f"&{prefix}:*", "~gateway:*": f"~{prefix}:*"}
    return [changes.get(word, word) for word in command]


async def test_a_server_behind_tls_with_a_user_is_asked(prefix: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("right")
    own = make_certificate(tmp_path / "own", "127.0.0.1")
    with redis_server() as server:
        server.ask(*documented_user("gw", "right", prefix))
        more = {"user": "gw", "password": f"file:{tmp_path}/secret", "ca": f"file:{own.cert}"}
        async with relay(server.port, own.server()) as between, HoldingUpstream() as up:
            table = state(f"rediss://127.0.0.1:{between.port}/3", prefix, "closed", **more)
            async with nodes(2, up, tmp_path, table) as (a, b), client(a.port) as raw, client(b.port) as other:
                await raw.send(get("/"))
                await other.send(get("/"))
                await until(lambda: up.held == 2)
                async with client(b.port) as third:
                    assert (await third.ask(get("/"))).status == 429
                assert await detail(a) == "serving"


async def test_calls_get_503_where_nobody_decides(prefix: str, tmp_path: Path) -> None:
    with redis_server() as server:
        async with (
            HoldingUpstream() as up,
            nodes(1, up, tmp_path, state(server.url, prefix, "closed")) as (gw,),
            client(gw.port) as held,
            client(gw.port) as raw,
        ):
            await held.send(get("/"))
            await until(lambda: up.held == 1)
            server.kill()
            await until(lambda: not gw.app._store.condition.answers)  # type: ignore[union-attr]
            refused = await raw.ask(get("/"))
            assert refused.status == 503 and b"state_unavailable" in bytes(refused.body)
            server.start()
            await until(lambda: gw.app._store.condition.answers)  # type: ignore[union-attr]
            await raw.send(get("/"))
            await until(lambda: up.held == 2)
            up.publish()
            assert (await held.read_answer()).status == (await raw.read_answer()).status == 200


async def test_a_server_that_may_throw_away_what_is_lent_is_told_of(
    prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru") as server:
        async with HoldingUpstream() as up:
            with caplog.at_level(logging.WARNING, "gateway"):
                async with nodes(1, up, tmp_path, state(server.url, prefix)) as (gw,):
                    assert await detail(gw) == "serving"
    assert "set maxmemory-policy noeviction there" in caplog.text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"ca": "file:{}/empty.pem"}, "state.ca: {}/empty.pem: it holds no certificate; name a PEM file"),
        ({"password": "env:NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set; set it"),
    ],
)
async def test_what_it_takes_to_get_in_has_to_be_there(
    redis: RedisServer, prefix: str, tmp_path: Path, more: dict[str, str], said: str
) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    table = state(
        redis.url.replace("redis:", "rediss:"), prefix, **{key: text.format(tmp_path) for key, text in more.items()}
    )
    async with HoldingUpstream() as up:
        with pytest.raises((ValueError, ConfigError)) as refused:
            async with nodes(1, up, tmp_path, table):
                pass
    assert said.format(tmp_path) in str(refused.value)

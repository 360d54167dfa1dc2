"""deploy/compose.yaml without Docker: its Redis, its service, both gateways and HAProxy are started by hand, with the
commands and the files it mounts, on loopback instead of names.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from tests.kit.gateways import SECRET, fetch, gateway_process
from tests.kit.ports import free_port
from tests.kit.raw import RawClient, client, get, post
from tests.kit.redis_server import RedisServer

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
CONFIG = (DEPLOY / "compose" / "gateway" / "gateway.toml").read_text("utf-8")
FRONT = (DEPLOY / "compose" / "front" / "haproxy.cfg").read_text("utf-8")

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="haproxy is not installed")


@contextmanager
def run(argv: list[str], output: Path) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as sink:
        process = subprocess.Popen(argv, stdout=sink, stderr=sink)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Each of these stands in it."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


class Composed:
    """All of it. `front` is where clients come."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.front = free_port()
        command = SERVICES["redis"]["command"]
        redis = RedisServer(*command[command.index("--maxmemory") :])
        stack.callback(redis.close)
        self.updates = updates = free_port()
        code = replaced(SERVICES["updates"]["command"][0], ("0.0.0.0", "127.0.0.1"), ("5000", str(updates)))
        stack.enter_context(run([sys.executable, *SERVICES["updates"]["entrypoint"][1:], code], folder / "updates.out"))
        self.gateways = [
            stack.enter_context(gateway_process(self._config(redis.url, updates), self._folder(folder, name)))
            for name in ("gateway-a", "gateway-b")
        ]
        file = folder / "haproxy.cfg"
        file.write_text(self._haproxy())
        stack.enter_context(run(["haproxy", "-db", "-f", str(file)], folder / "haproxy.out"))

    def _folder(self, folder: Path, name: str) -> Path:
        (folder / name).mkdir()
        return folder / name

    def _config(self, redis: str, updates: int) -> str:
        return replaced(
            CONFIG, ("0.0.0.0:8080", f"127.0.0.1:{free_port()}"), ("0.0.0.0:9090", f"127.0.0.1:{free_port()}"),
            ("172.30.55.0/24", "127.0.0.0/8"), ("redis://redis:6379/0", redis),
            ("updates:5000", f"127.0.0.1:{updates}"), ('"stdout"', '"file:calls.jsonl"'),
        )  # fmt: skip

    def _haproxy(self) -> str:
        a, b = self.gateways
        text = replaced(
            FRONT, ("maxconn 20000", "maxconn 200"), ("bind :8080", f"bind 127.0.0.1:{self.front}"),
            ("check port 9090", "check"),
            ("gateway-a:8080", f"127.0.0.1:{a.port} port {a.admin_port}"),
            ("gateway-b:8080", f"127.0.0.1:{b.port} port {b.admin_port}"),
            (" resolvers docker init-addr none", ""),
        )  # fmt: skip
        return re.sub(r"resolvers docker.*?\n\n", "", text, flags=re.DOTALL)


@pytest.fixture
def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Composed]:
    for name in SERVICES["gateway-a"]["environment"]:
        monkeypatch.setenv(name, SECRET)
    with ExitStack() as stack:
        yield Composed(stack, tmp_path)


def alice() -> str:
    """A consumer, signed with the secret that the gateways were given."""
    claims = {"iss": "https://id.example.com/", "aud": "updates", "sub": "alice", "exp": 4_000_000_000}
    return f"Authorization: Bearer {jwt.encode(claims, os.environ['GATEWAY_JWT_SECRET'], 'HS256')}"


async def held(composed: Composed) -> int:
    """As many polls as the service holds."""
    status, body = await asyncio.to_thread(fetch, f"http://127.0.0.1:{composed.updates}/stats")
    return int(json.loads(body)["held"]) if status == 200 else -1


async def takes(raw: RawClient) -> bool:
    """Whether the front has found a gateway that takes calls."""
    return (await raw.ask(get("/"))).status != 503


async def test_both_gateways_are_one_to_a_client_and_one_of_them_may_end(composed: Composed) -> None:
    poll = get("/updates?last_event_id=0&timeout=30", alice())
    news = post(b"hello", "/publish", alice(), "Content-Type: text/plain")
    await until_said(lambda: there(composed.front), "the front")
    async with AsyncExitStack() as stack:
        pollers = [await stack.enter_async_context(client(composed.front)) for _ in range(4)]
        await until_said(lambda: takes(pollers[3]), "a gateway behind the front")
        for number, raw in enumerate(pollers[:3], 1):
            await raw.send(poll)
            await until_said(lambda number=number: equal(held(composed), number), f"{number} held")  # type: ignore[misc]
        assert (await pollers[3].ask(poll)).status == 429, "a cap of 3 over both"
        composed.gateways[0].terminate()
        answer = await pollers[3].ask(news)
        assert answer.status == 201, answer
        answers = [await raw.read_answer() for raw in pollers[:3]]
        assert [(one.status, b"hello" in one.body) for one in answers] == [(200, True)] * 3
        assert await composed.gateways[0].exit_code() == 0
        assert (await pollers[3].ask(news)).status == 201


async def until_said(fact: Callable[[], Awaitable[bool]], what: str) -> None:
    """`until`, of a fact that has to be asked for."""
    for _ in range(1500):
        if await fact():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never became true: {what}")


async def equal(found: Awaitable[int], wanted: int) -> bool:
    return await found == wanted


async def there(port: int) -> bool:
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False

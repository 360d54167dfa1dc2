"""Gateways to test: one on the test's own loop, or one in a process of its own for signals and threads.
Both read the TOML a user would write and are looked at from outside: sockets, the admin API, the call log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from gateway.app import App
from gateway.clock import Clock
from gateway.upstream.resolve import Resolve, system

from .ports import free_port
from .schema import wrongs
from .waiting import until, until_sync

Record = dict[str, Any]

SECRET = "a secret of the tests that is long enough for HS512, which asks for sixty-four bytes"
OF_ENDPOINTS = ("eject", "probe", "restore")  # kinds of lines
EVERYTHING = '[[route]]\nname = "all"\nmatch = { path = "/**" }\nupstream = "up"\n'
SIGNED_IN = """
[jwt.main]
issuer = "https://id.test/"
audience = ["tests"]
algorithms = ["HS256"]
keys = { secret = "env:GATEWAY_TEST_SECRET" }
[policy.signed-in.jwt]
provider = "main"
"""


TEMPLATE = '{ answer = "template", status = 200, headers = { Content-Type = "application/json" }, body = "[]" }'


def token(subject: str = "alice", ttl: float = 3600, **claims: object) -> str:
    """A token that SIGNED_IN accepts for `ttl` seconds."""
    now = int(time.time())
    base = {"iss": "https://id.test/", "aud": "tests", "sub": subject, "iat": now, "exp": int(now + ttl)}
    return jwt.encode({**base, **claims}, SECRET, algorithm="HS256")


def bearer(subject: str = "alice", ttl: float = 3600, **claims: object) -> str:
    """`token` as a header line."""
    return f"Authorization: Bearer {token(subject, ttl, **claims)}"


def config(
    *upstreams: str | int,
    server: str = "",
    upstream: str = "",
    routes: str = EVERYTHING,
    more: str = "",
    log: str = "",
    listen: Sequence[str] = ("127.0.0.1:0",),
    admin: str = "127.0.0.1:0",
    calls: str = "calls.jsonl",
    rotate: str = "false",
) -> str:
    """A whole configuration: `upstreams` are URLs or ports of "up", the others lines of their tables. The log is not
    rotated, or a test would miss its records when an hour ends."""
    urls = [f"http://127.0.0.1:{one}" if isinstance(one, int) else one for one in upstreams]
    return f"""
[server]
listen = {json.dumps(list(listen))}
{server}
[admin]
listen = "{admin}"
[log]
calls = "file:{calls}"
rotate = {rotate}
{log}
[upstream.up]
endpoints = {json.dumps(urls)}
{upstream}
{more}
{routes}"""


def to_collector(text: str, url: str, beside: bool = False) -> str:
    """The configuration with records going to a collector too, or only there."""
    places = '["file:calls.jsonl", "otlp"]' if beside else '"otlp"'
    return text.replace('"file:calls.jsonl"', places) + f'\n[telemetry]\notlp = "{url}"\n'


def hold(name: str = "poll", **values: object) -> str:
    """A hold policy with short clocks; every request is a poll. `values` replace its lines (TOML text)."""
    lines: dict[str, object] = {
        "when": "[]",
        "absent": '"10s"',
        "min": '"100ms"',
        "max": '"20s"',
        "jitter": '{ span = "0s" }',
        "margin": '"1s"',
        "empty": TEMPLATE,
        "idle": '["status == 204", "json: == []"]',
        "replay": '"cursor"',
    } | values
    body = "\n".join(f"{key} = {value}" for key, value in lines.items())
    return f"[policy.{name}.hold]\n{body}\n"


def route(name: str = "all", path: str = "/**", policies: Sequence[str] = (), match: str = "", extra: str = "") -> str:
    """One [[route]] to "up"."""
    matches = f'path = "{path}"' + (f", {match}" if match else "")
    lines = f'[[route]]\nname = "{name}"\nmatch = {{ {matches} }}\nupstream = "up"\n'
    return f"{lines}policies = {json.dumps(list(policies))}\n{extra}\n"


def read_records(path: Path) -> list[Record]:
    """The call log, of all that write it; a line that is still being written is left out."""
    files = [path, *sorted(path.parent.glob(f"{path.stem}.w*{path.suffix}"))]
    texts = [file.read_text("utf-8") for file in files if file.exists()]
    return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]


def fetch(url: str) -> tuple[int, bytes]:
    """A GET for threads and tests without a loop; a refused connection is status 0."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as got:
            return got.status, got.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError:
        return 0, b""


@dataclass
class Running:
    """What every gateway under test shows. `address` is what `raw.client` connects to."""

    port: int
    admin_port: int
    log: Path

    async def records(self, count: int) -> list[Record]:
        """The call log, once it holds `count` records; without the lines that tell of endpoints (`kit.endpoints`)."""
        await until(lambda: len(self._of_calls()) >= count, f"{count} records in {self.log}")
        assert [wrong for record in read_records(self.log) for wrong in wrongs(record)] == []
        return self._of_calls()

    def _of_calls(self) -> list[Record]:
        return [record for record in read_records(self.log) if record.get("kind") not in OF_ENDPOINTS]

    async def record(self) -> Record:
        """The only record there is."""
        records = await self.records(1)
        assert len(records) == 1, records
        return records[0]

    async def admin(self, path: str) -> tuple[int, bytes]:
        return await asyncio.to_thread(fetch, f"http://127.0.0.1:{self.admin_port}{path}")

    async def held(self) -> list[Record]:
        """The calls of `/api/held`."""
        status, body = await self.admin("/api/held")
        assert status == 200, body
        calls: list[Record] = json.loads(body)["calls"]
        return calls


@dataclass
class InProcess(Running):
    app: App


@contextlib.asynccontextmanager
async def gateway(
    text: str, folder: Path, clock: Clock | None = None, resolve: Resolve = system
) -> AsyncIterator[InProcess]:
    """A gateway on this loop. Leaving the block stops it and fails on any exception that nobody handled."""
    os.environ["GATEWAY_TEST_SECRET"] = SECRET
    file = folder / "gateway.toml"
    file.write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"), "utf-8")
    loop = asyncio.get_running_loop()
    bugs: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: bugs.append(context))
    app = App(file, clock, resolve)
    await app.start()
    try:
        yield InProcess(app.ports[0] if app.ports else 0, app.admin_port or 0, folder / "calls.jsonl", app)
    finally:
        await app.stop()
        loop.set_exception_handler(None)
    assert not bugs, bugs


@dataclass
class Process(Running):
    process: subprocess.Popen[bytes]
    output: Path  # stdout and stderr

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def exit_code(self) -> int:
        """Waits for the end of the process."""
        await until(lambda: self.process.poll() is not None, "the gateway's exit")
        return int(self.process.returncode)

    def sync_records(self, count: int) -> list[Record]:
        until_sync(lambda: len(read_records(self.log)) >= count, f"{count} records in {self.log}")
        return read_records(self.log)


@contextlib.contextmanager
def gateway_process(text: str, folder: Path) -> Iterator[Process]:
    """`python -m gateway run` on that configuration, ready for calls; killed at the end if it still runs.

    Ports in `text` must be numbers other than 0: use `process_config`.
    """
    file, output = folder / "gateway.toml", folder / "output.txt"
    file.write_text(text.replace("file:calls.jsonl", f"file:{folder}/calls.jsonl"), "utf-8")
    port, admin_port = _ports_of(file)
    command = [sys.executable, "-m", "gateway", "run", "-c", str(file)]
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, stdout=sink, stderr=sink, cwd=folder, env={**os.environ, "GATEWAY_TEST_SECRET": SECRET}
        )
    try:
        ready = f"http://127.0.0.1:{admin_port}/readyz"
        until_sync(lambda: process.poll() is not None or fetch(ready)[0] == 200, "readyz")
        assert process.poll() is None, output.read_text("utf-8", "replace")
        yield Process(port, admin_port, folder / "calls.jsonl", process, output)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _ports_of(file: Path) -> tuple[int, int]:
    found = tomllib.loads(file.read_text("utf-8"))
    port, admin = (where.rpartition(":")[2] for where in (found["server"]["listen"][0], found["admin"]["listen"]))
    return int(port), int(admin)


def process_config(*upstreams: str | int, **tables: Any) -> str:
    """`config` with two free ports."""
    return config(*upstreams, listen=[f"127.0.0.1:{free_port()}"], admin=f"127.0.0.1:{free_port()}", **tables)

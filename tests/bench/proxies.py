"""The proxies that are compared, how each is started, and the stage a measure plays on: an upstream and
a fresh proxy on their cores, in a directory of their own.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import jwt

from tests.kit.redis_server import program

from . import built
from .load import Control
from .process import Process, free_ports, spawn
from .wire import request

PROXY_CORE, LOAD_CORE = 0, 1
SECRET = "a-secret-of-the-bench-long-enough-for-hs256-keys"
ISSUER, AUDIENCE = "https://id.bench.local/", "bench"
BLANK = b"[]"  # what the template of `/poll` says; the upstream never says it
DRAIN = 2  # seconds

CONFIG = """\
[server]
listen = ["127.0.0.1:{port}"]
drain = "{drain}s"
stop_grace = "30s"
{server}

[admin]
listen = "127.0.0.1:{admin}"

[log]
calls = "file:{directory}/calls.jsonl"
{log}

{state}
[jwt.main]
issuer = "{issuer}"
audience = ["{audience}"]
algorithms = ["HS256"]
keys = {{ secret = "file:{directory}/secret" }}

[upstream.bench]
endpoints = ["http://127.0.0.1:{upstream}"]

[policy.signed-in.jwt]
provider = "main"

{extra}
[[route]]
name = "now"
match = {{ path = "/now", methods = ["GET"] }}
upstream = "bench"
policies = {now}

[[route]]
name = "streams"
match = {{ path = "/{{what}}", methods = ["GET"] }}
upstream = "bench"
policies = {now}

[[route]]
name = "echo"
match = {{ path = "/echo", methods = ["GET"] }}
upstream = "bench"
policies = ["signed-in"]
websocket = {{ idle_timeout = "1h" }}

[[route]]
name = "poll"
match = {{ path = "/poll", methods = ["GET"] }}
upstream = "bench"
policies = {poll}

[route.hold]
when = []
absent = "110s"
min = "1s"
max = "120s"
margin = "5s"
replay = "cursor"

[route.hold.empty]
answer = "template"
status = 200
headers = {{ Content-Type = "application/json" }}
body = "{blank}"
"""

# Nobody is refused, but nobody's bucket is full again before the measure is over. The second rate has a key of its own
# for everybody too, and one that has to be made. (One per address is asked in a transaction of its own: 2 us more.)
LIMITS = """
[[policy.fair.rate_limit]]
rate = "1000/day"
burst = 10000000
per = "consumer"
refund_empty = true

[[policy.account.rate_limit]]
rate = "1000/day"
burst = 10000000
per = "tenant"

[[policy.held.hold_cap]]
max = 3
per = "consumer"
"""


# Everything there is to see, as the bar of telemetry names it; a collector takes it.
SEEN = """
[telemetry]
otlp = "http://127.0.0.1:{collector}"
sample = {{ news = 0.01, empty = 0.0, error = 1.0 }}
consumer_label = true
"""


class Ports(NamedTuple):
    """Where everyone listens."""

    proxy: int
    upstream: int
    admin: int
    collector: int
    redis: int = 0


Command = Callable[[Ports, Path], list[str]]  # writes the configuration and gives the command
Beside = Callable[[Ports, Path], tuple[list[str], int]]  # a process beside the proxy, and the port it listens on


def gateway(ports: Ports, directory: Path) -> list[str]:
    """The command of the gateway: a JWT on both routes, one JSON line per call."""
    return _run(ports, directory, "", ["signed-in"], ["signed-in"])


def limited(ports: Ports, directory: Path) -> list[str]:
    """The same with two rate limits on both routes and a cap on polls."""
    now = ["signed-in", "fair", "account"]
    return _run(ports, directory, LIMITS, now, [*now, "held"])


def shared(ports: Ports, directory: Path) -> list[str]:
    """The same as `limited` with two workers that share their state."""
    now = ["signed-in", "fair", "account"]
    return _run(ports, directory, LIMITS, now, [*now, "held"], server="workers = 2", state='url = "shared://"')


def in_redis(ports: Ports, directory: Path) -> list[str]:
    """The same as `limited` with its state in Redis."""
    now = ["signed-in", "fair", "account"]
    state = f'url = "redis://127.0.0.1:{ports.redis}/0"'
    return _run(ports, directory, LIMITS, now, [*now, "held"], state=state)


def two(ports: Ports, directory: Path) -> list[str]:
    """The same as `gateway` with two workers."""
    return _run(
        ports, directory, "", ["signed-in"], ["signed-in"], server="workers = 2", state='url = "shared://"'
    )  # fmt: skip


def watched(ports: Ports, directory: Path) -> list[str]:
    """The same as `gateway` with traces, metrics by consumer and a line when a hold begins."""
    extra = SEEN.format(collector=ports.collector)
    return _run(ports, directory, extra, ["signed-in"], ["signed-in"], "start_of_hold = true")


def _run(ports: Ports, directory: Path, extra: str, now: list[str], poll: list[str], log: str = "",
         server: str = "", state: str = "") -> list[str]:  # fmt: skip
    """Writes the configuration and gives the command."""
    (directory / "secret").write_text(SECRET)
    path = directory / "gateway.toml"
    path.write_text(
        CONFIG.format(
            port=ports.proxy, admin=ports.admin, upstream=ports.upstream, directory=directory, drain=DRAIN,
            issuer=ISSUER, audience=AUDIENCE, blank=BLANK.decode(), extra=extra, log=log, now=json.dumps(now),
            poll=json.dumps(poll), server=server, state=f"[state]\n{state}\n" if state else "",
        )
    )  # fmt: skip
    return built.gateway("run", "-c", str(path))


def naive(ports: Ports, directory: Path) -> list[str]:
    """The command of the naive proxy."""
    return [sys.executable, "-m", "tests.bench.naive", str(ports.proxy), str(ports.upstream)]


PROXIES: dict[str, Command] = {
    "gateway": gateway,
    "limited": limited,
    "watched": watched,
    "shared": shared,
    "redis": in_redis,
    "two": two,
    "naive": naive,
}


def tokens(secret: str = SECRET, **more: str | int) -> Iterator[str]:
    """Tokens nobody has seen yet, without end; with `more` claims, or others, than they need."""
    now = int(time.time())
    for number in count():
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": f"user-{number}", "iat": now, "exp": now + 3600, **more}
        yield jwt.encode(claims, secret, "HS256")


def wires(path: str, number: int, minted: Iterator[str]) -> list[bytes]:
    """That many requests, each with a token of its own."""
    return [request(path, next(minted)) for _ in range(number)]


@dataclass(slots=True)
class Stage:
    """A proxy that listens, an upstream behind it, a source of new tokens. `listening` is in seconds; `poll` is what is
    held, and `tls` is what clients speak TLS with, where they do."""

    proxy: Process
    port: int
    upstream: int
    admin: int
    control: Control
    listening: float
    tokens: Iterator[str]
    poll: str = field(default="/poll", kw_only=True)
    tls: ssl.SSLContext | None = field(default=None, kw_only=True)


def _collector(ports: Ports, directory: Path) -> tuple[list[str], int]:
    return [sys.executable, "-m", "tests.bench.collector", str(ports.collector)], ports.collector


def _redis(ports: Ports, directory: Path) -> tuple[list[str], int]:
    port = str(ports.redis)
    return [program(), "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)], ports.redis


BESIDE: dict[str, Beside] = {"watched": _collector, "redis": _redis}


@asynccontextmanager
async def stage(kind: str, command: Command | None = None, beside: Beside | None = None) -> AsyncIterator[Stage]:
    """A fresh upstream, a fresh proxy of that kind, or one that is started so, and where it needs something beside it
    that too; all are gone when the block is left."""
    command, beside = command or PROXIES[kind], beside or BESIDE.get(kind)
    with TemporaryDirectory(prefix="bench-") as name, ExitStack() as started:
        directory, ports = Path(name), Ports(*free_ports(5))
        argv = [sys.executable, "-m", "tests.bench.upstream", str(ports.upstream)]
        behind = started.enter_context(spawn("upstream", argv, LOAD_CORE, directory))
        await behind.listening(ports.upstream)
        if beside is not None:
            argv, port = beside(ports, directory)
            await started.enter_context(spawn("beside", argv, LOAD_CORE, directory)).listening(port)
        proxy = started.enter_context(spawn(kind, command(ports, directory), PROXY_CORE, directory))
        listening = await proxy.listening(ports.proxy)
        control = await Control.connect(ports.upstream)
        yield Stage(proxy, ports.proxy, ports.upstream, ports.admin, control, listening, tokens())

"""The stage of a case: an upstream process that counts, and a gateway process with everything on that a production
gateway has on (a JWT, two rate limits, a hold cap, the call log), configured by what a case adds.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import orjson

from tests.bench import built
from tests.bench.load import Control, Crowd
from tests.bench.process import MeasureError, Process, free_ports, spawn
from tests.bench.proxies import AUDIENCE, ISSUER, SECRET, Ports, Stage, tokens
from tests.bench.wire import status

from .probes import Probe, ask
from .waiting import reached

CREW = re.compile(rb"(\d+) of (\d+) workers ready")
STARTS = 20.0  # seconds for a process and its workers
CONFIG = """\
[server]
listen = ["127.0.0.1:{ports.proxy}"]
stop_grace = "60s"
{server}

[admin]
listen = "127.0.0.1:{ports.admin}"

[log]
calls = "file:{folder}/calls.jsonl"
rotate = false

{state}

[jwt.main]
issuer = "{issuer}"
audience = ["{audience}"]
algorithms = ["HS256"]
keys = {{ secret = "file:{folder}/secret" }}

[upstream.chaos]
endpoints = ["http://127.0.0.1:{ports.upstream}"]
{upstream}

[policy.signed-in.jwt]
provider = "main"

{plan}

{dialects}

{routes}
"""

PLAN = """\
[[policy.plan.rate_limit]]
rate = "600/min"
burst = 20
per = "consumer"

[[policy.plan.rate_limit]]
rate = "20000/s"
burst = 40000
per = "route"

[[policy.places.hold_cap]]
max = 1
per = "consumer"
"""

DIALECT = """\
[policy.{answer}.hold]
when = []
absent = "110s"
min = "100ms"
max = "120s"
margin = "5s"
replay = "{replay}"
empty = {empty}
"""
BLANK = '{ answer = "template", status = 200, headers = { Content-Type = "application/json" }, body = "[]" }'
DIALECTS = "".join(
    DIALECT.format(answer=answer, replay=replay, empty=empty)
    for answer, replay, empty in (
        ("template", "cursor", BLANK),
        ("origin", "destructive", '{ answer = "origin" }'),
    )
)

ROUTE = """\
[[route]]
name = "{name}"
match = {{ path = "/{path}", methods = ["GET"] }}
upstream = "chaos"
policies = {policies}
"""


def route(path: str, *policies: str, name: str = "") -> str:
    """One [[route]]; a token and the plan apply to each."""
    names = orjson.dumps(["signed-in", "plan", *policies]).decode()
    return ROUTE.format(name=name or path, path=path, policies=names)


NOW, POLL = route("now"), route("poll", "template", "places")


class Parts(TypedDict, total=False):
    """What a case may replace in CONFIG, as TOML."""

    server: str
    state: str
    upstream: str
    plan: str
    dialects: str
    routes: str


@dataclass(slots=True)
class Chaos(Stage):
    """The bench's stage, and where its gateway keeps its files. `proxy` is the gateway of this moment."""

    ports: Ports
    folder: Path

    def configure(self, **parts: Unpack[Parts]) -> Path:
        """Writes `gateway.toml` anew."""
        path = self.folder / "gateway.toml"
        path.write_text(configuration(self.ports, self.folder, **parts))
        return path

    async def held(self) -> int:
        """How many polls the upstream holds."""
        return int((await self.control.stats())["held"])

    async def reaches(self, number: int, within: float = 10.0) -> float | None:
        """Seconds until the upstream holds exactly that many; None when it never did."""

        async def there() -> bool:
            return await self.held() == number

        return await reached(there, within)

    def records(self) -> list[dict[str, object]]:
        """The call log, of every worker; a line that is still being written is left out."""
        files = sorted(self.folder.glob("calls*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
        return [orjson.loads(line) for line in lines if line.endswith(b"\n")]


def configuration(
    ports: Ports, folder: Path, *, server: str = "", state: str = "", upstream: str = "", plan: str = PLAN,
    dialects: str = DIALECTS, routes: str = NOW + POLL,
) -> str:  # fmt: skip
    return CONFIG.format(
        ports=ports, folder=folder, server=server, state=state, upstream=upstream, plan=plan, dialects=dialects,
        routes=routes, issuer=ISSUER, audience=AUDIENCE,
    )  # fmt: skip


@contextmanager
def gateway(
    path: Path, name: str = "gateway", env: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> Iterator[Process]:
    """`gateway run`; `before` is put before the command (a shell that lowers a limit), output is in NAME.out."""
    argv = [*before, *built.gateway("run", "-c", str(path))]
    with spawn(name, argv, None, path.parent, env) as process:
        yield process


@asynccontextmanager
async def stage(
    folder: Path, *, env: Mapping[str, str] | None = None, before: Sequence[str] = (), **parts: Unpack[Parts]
) -> AsyncIterator[Chaos]:
    """A fresh upstream and a fresh gateway on `parts` of CONFIG; both are gone when the block is left."""
    ports = Ports(*free_ports(4))
    (folder / "secret").write_text(SECRET)
    path = folder / "gateway.toml"
    path.write_text(configuration(ports, folder, **parts))
    argv = [sys.executable, "-m", "tests.bench.upstream", str(ports.upstream)]
    with spawn("upstream", argv, None, folder) as behind:
        await behind.listening(ports.upstream)
        with gateway(path, env=env, before=before) as proxy:
            listening = await ready(proxy, ports)
            control = await Control.connect(ports.upstream)
            yield Chaos(proxy, ports.proxy, ports.upstream, ports.admin, control, listening, tokens(), ports, folder)


async def ready(proxy: Process, ports: Ports) -> float:
    """Seconds from its start until it listens; returns when it takes calls, and all its workers do."""
    listening = await proxy.listening(ports.proxy)
    wire = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def serves() -> bool:
        probe = await ask(ports.admin, wire)
        some = CREW.search(probe.answer)
        return proxy.exit_code() is not None or (probe.said == "200" and (some is None or some[1] == some[2]))

    if await reached(serves, STARTS) is None or proxy.exit_code() is not None:
        raise MeasureError(f"{proxy.name} did not take calls within {STARTS:g} s: {proxy.last_words()}")
    return listening


async def admin(on: Chaos, line: str) -> Probe:
    """A request to the admin listener, such as "GET /metrics", as an operator's script sends it."""
    lines = (f"{line} HTTP/1.1", "Host: localhost", "Gateway-Admin: 1", "Content-Length: 0", "Connection: close")
    return await ask(on.ports.admin, ("\r\n".join(lines) + "\r\n\r\n").encode())


def statuses(crowd: Crowd) -> dict[str, int]:
    """How often each status came, and how many got nothing: what a failed check shows."""
    seen = Counter(str(status(answer)) for answer in crowd.answers)
    seen["lost"] += crowd.lost
    seen["unanswered"] += len(crowd.clients) - len(crowd.answers) - crowd.lost
    return {what: number for what, number in sorted(seen.items()) if number}

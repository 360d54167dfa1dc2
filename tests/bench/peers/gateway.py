"""The gateway with everything on that gateway.example.toml has on, and what the honest figures vary of it: TLS towards
clients, and limits that are counted in the memory of the machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.kit.certificates import make_certificate

from .. import built
from ..proxies import AUDIENCE, ISSUER, SECRET, Ports
from ..proxies import naive as naive_command
from .peer import Limits, Peer

CONF = """\
[server]
listen = ["127.0.0.1:{port}"]
{server}

[admin]
listen = "127.0.0.1:{admin}"

[state]
url = "{state}"

[log]
calls         = "file:{directory}/calls.jsonl"
start_of_hold = false
query_values  = ["last_event_id", "timeout"]

[telemetry]
otlp           = "http://127.0.0.1:{collector}"
sample         = {{ news = 0.01, empty = 0.001, error = 1.0 }}
consumer_label = true

[jwt.main]
algorithms = ["HS256"]
keys       = {{ secret = "file:{directory}/secret" }}
issuer     = "{issuer}"
audience   = ["{audience}"]
consumer   = "sub"
tenant     = "tenant"

[upstream.bench]
endpoints = ["http://127.0.0.1:{upstream}"]
identity  = {{ consumer = "Gateway-Consumer", tenant = "Gateway-Tenant", claims = {{ scope = "Gateway-Scope" }} }}
headers   = {{ set = {{ X-Served-By = "gateway" }}, remove = ["X-Debug"] }}

[policy.signed-in.jwt]
provider = ["main"]
claims   = {{ tier = ["gold", "silver"] }}

[policy.web.cors]
origins = ["https://app.example.com"]
headers = ["Authorization"]

[policy.small.body_size]
max = "128KiB"

[[policy.free-plan.rate_limit]]
rate         = "1000/day"
burst        = {consumer}
per          = "consumer"
refund_empty = true

[[policy.free-plan.rate_limit]]
rate  = "1000/day"
burst = {address}
per   = "address"

[[policy.free-plan.hold_cap]]
max = {held}
per = "consumer"

[[policy.free-plan.concurrency_cap]]
max         = 1000
per         = "tenant"
on_excess   = "wait"
max_waiting = 10

[policy.inside.allow_list]
addresses = ["127.0.0.0/8", "10.0.0.0/8"]

[[policy.inside.headers]]
request  = {{ set = {{ X-Inside = "yes" }}, remove = ["Cookie"] }}
response = {{ set = {{ Cache-Control = "no-store" }}, remove = ["Server"] }}

[[route]]
name     = "poll"
match    = {{ path = "/poll", methods = ["GET"] }}
upstream = "bench"
policies = ["cursor-updates", "signed-in", "web", "small", "free-plan", "inside"]

[route.hold]
max            = "120s"
client_timeout = "150s"
idle           = ["status == 204", "json:/events == []"]
cursor         = {{ request = "query:last_event_id", response = "max(json:/events/*/id)", acknowledges = false }}

[[route]]
name     = "now"
match    = {{ path = "/{{what}}", methods = ["GET", "POST"] }}
upstream = "bench"
policies = ["signed-in", "web", "small", "free-plan", "inside"]
"""
TLS = 'tls = {{ cert = "file:{cert}", key = "file:{key}" }}'


def _run(ports: Ports, directory: Path, limits: Limits, state: str = "memory://", server: str = "",
         start: Callable[..., list[str]] = built.gateway) -> list[str]:  # fmt: skip
    (directory / "secret").write_text(SECRET)
    path = directory / "gateway.toml"
    path.write_text(
        CONF.format(
            port=ports.proxy, admin=ports.admin, upstream=ports.upstream, collector=ports.collector, server=server,
            directory=directory, state=state, issuer=ISSUER, audience=AUDIENCE, **limits._asdict(),
        )
    )  # fmt: skip
    return start("run", "-c", str(path))


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    return _run(ports, directory, limits)


def interpreted(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    """From the sources: what compiling them is worth."""
    return _run(ports, directory, limits, start=built.interpreted)


def over_tls(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    shown = make_certificate(directory / "tls", "127.0.0.1")
    return _run(ports, directory, limits, server=TLS.format(cert=shown.cert, key=shown.key))


def shared(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    """Two workers on the core of one: alone a worker shares with nobody, and asks nobody."""
    return _run(ports, directory, limits, state="shared://", server="workers = 2")


def collector(ports: Ports, directory: Path) -> tuple[list[str], int]:
    """Who takes the traces and metrics."""
    return [sys.executable, "-m", "tests.bench.collector", str(ports.collector)], ports.collector


GATEWAY = Peer(
    name="gateway",
    package="",
    command=command,
    files=("gateway.toml",),
    jwt="policy jwt, verified once a token",
    rates="rate_limit, by consumer and by address",
    held="hold_cap, by consumer",
    log="log.calls, written in batches",
    records="calls.jsonl",
    remark="also metrics by consumer, traces, CORS, headers, an allow list, a cap of calls, cursors",
    beside=collector,
)
OVER_TLS = replace(GATEWAY, name="gateway-tls", command=over_tls, tls=True, remark="clients speak TLS 1.3")
SHARED = replace(
    GATEWAY, name="gateway-shared", command=shared, remark="two workers on the one core, limits in shared://"
)
INTERPRETED = replace(GATEWAY, name="gateway-interpreted", command=interpreted, remark="from its sources, not compiled")
NAIVE = Peer(
    name="naive",
    package="",
    command=lambda ports, directory, limits: naive_command(ports, directory),
    remark="aiohttp's Application before its ClientSession (tests/bench/naive.py): what one writes in an afternoon",
)

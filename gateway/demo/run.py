"""`gateway demo`: the demo's long-poll service and the gateway before it, in one process, with a token and
curl lines to paste. Everything it writes lies in a temporary folder that is removed when the demo ends.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import jwt

from gateway.app import App
from gateway.demo import upstream
from gateway.parse import MissingParserError
from gateway.process import loop_factory

ISSUER, AUDIENCE, CONSUMER = "https://demo.invalid/", "demo", "alice"
TOKEN_LIFE = 8 * 3600  # seconds
HOLD = 25.0  # seconds

CONFIG = """\
# Written by `gateway demo`. Copy it to start a configuration of your own.
[server]
listen = ["127.0.0.1:{port}"]
drain = "1s"

[admin]
listen = "127.0.0.1:{admin_port}"

[log]
calls = ["stdout", "file:{calls}"]
query_values = ["last_event_id", "timeout"]

[jwt.demo]
issuer = "{issuer}"
audience = ["{audience}"]
algorithms = ["HS256"]
keys = {{ secret = "file:{secret}" }}

[policy.signed-in.jwt]
provider = "demo"

[upstream.demo]
endpoints = ["http://127.0.0.1:{upstream_port}"]

[[route]]
name = "updates"
match = {{ path = "/updates", methods = ["GET"] }}
upstream = "demo"
policies = ["cursor-updates", "signed-in"]

[[route]]
name = "publish"
match = {{ path = "/publish", methods = ["POST"] }}
upstream = "demo"
policies = ["signed-in"]

[[route]]
name = "page"
match = {{ path = "/", methods = ["GET"] }}
upstream = "demo"

[[route]]
name = "stats"
match = {{ path = "/stats", methods = ["GET"] }}
upstream = "demo"
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a person needs to know to play with the demo."""

    port: int
    admin_port: int
    upstream_port: int
    config: Path
    token: str
    command: str = "gateway"


def run_demo(port: int, admin_port: int) -> int:
    """Runs the demo on loopback until Ctrl-C or SIGTERM; returns the exit code."""
    problem = _port_problem(port, "--port") or _port_problem(admin_port, "--admin-port")
    if problem is None and port == admin_port:
        problem = f"the gateway and its admin listener cannot both have port {port}; choose another --admin-port"
    if problem is not None:
        click.echo(f"Error: {problem}", err=True)
        return 1
    # That anyone may call the page is meant here; a notice about it would only worry.
    logging.getLogger("gateway").setLevel(logging.ERROR)
    folder = tempfile.TemporaryDirectory(prefix="gateway-demo-")
    with folder, asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(_run(port, admin_port, Path(folder.name)))


async def _run(port: int, admin_port: int, folder: Path) -> int:
    runner, upstream_port = await upstream.start(upstream.make_app(HOLD))
    try:
        config, token = write_config(folder, port, admin_port, upstream_port)
        scene = Scene(port, admin_port, upstream_port, config, token, _own_command())
        await _serve_gateway(config, lambda: click.echo(greeting(scene)))
    except (OSError, ValueError, MissingParserError) as error:  # a port taken since it was looked at, a full disk
        click.echo(f"Error: the demo cannot start: {error}", err=True)
        return 1
    finally:
        await runner.cleanup()
    click.echo("\nbye")
    return 0


async def _serve_gateway(config: Path, ready: Callable[[], None]) -> None:
    """The gateway from start to drain, in this process. The only place here that knows how it is run."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: its terminal was closed
        loop.add_signal_handler(number, stop.set)
    app = App(config)
    await app.start()
    ready()
    await stop.wait()
    await app.drain()


def _port_problem(port: int, option: str) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            what = "is in use" if taken else f"cannot be used ({error.strerror})"
            other = port + 1 if taken and port < 65535 else 8180
            remedy = (
                f"choose another one, for example: make demo ARGS='{option} {other}' (gateway demo {option} {other})"
            )
            return f"port {port} on 127.0.0.1 {what}; {remedy}"
    return None


def write_config(folder: Path, port: int, admin_port: int, upstream_port: int) -> tuple[Path, str]:
    """Writes a new secret and the configuration into `folder`; returns its path and a token for it."""
    secret = secrets.token_hex(32)
    secret_file = folder / "secret.txt"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, "ascii")
    config = folder / "gateway.toml"
    config.write_text(
        CONFIG.format(
            port=port,
            admin_port=admin_port,
            upstream_port=upstream_port,
            secret=secret_file,
            calls=folder / "calls.jsonl",
            issuer=ISSUER,
            audience=AUDIENCE,
        ),
        "utf-8",
    )
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": CONSUMER, "iat": now, "exp": now + TOKEN_LIFE}
    return config, jwt.encode(claims, secret, algorithm="HS256")


def _own_command() -> str:
    """How this program is called from a shell: by name where it is on PATH, else by its whole path."""
    called = Path(sys.argv[0])
    if called.name != "gateway":
        return f"{shlex.quote(sys.executable)} -m gateway"
    found = shutil.which("gateway")
    if found is not None and Path(found).resolve() == called.resolve():
        return "gateway"
    return shlex.quote(str(called.absolute()))


def greeting(scene: Scene) -> str:
    """The text with everything to paste; lines with $TOKEN need the TOKEN line first, in the same shell."""
    url, admin = f"http://127.0.0.1:{scene.port}", f"http://127.0.0.1:{scene.admin_port}"
    auth = '-H "Authorization: Bearer $TOKEN"'
    timing = r"-w '\n-> %{http_code} after %{time_total} s\n'"
    return f"""\
The gateway stands at {url}, before a long-poll service on port {scene.upstream_port}.
Its configuration: {scene.config}

In another terminal, first the token ({CONSUMER}'s, good for {TOKEN_LIFE // 3600} hours):

TOKEN={scene.token}

1. Publish a message: 201 and its id.

curl -sS {timing} {auth} -d 'message=hello' {url}/publish

2. Poll for what comes after event 1: held up to 20 s. Publish again from a third terminal (it needs the
   token line too) and it is answered at once; publish nothing and it ends with the service's own "no
   news", 200 and []. Once there is an event 2, write last_event_id=2 to wait for the next.

curl -sS {timing} {auth} '{url}/updates?last_event_id=1&timeout=20'

3. The same without a token: 401 at once, and the service never hears of it.

curl -sS {timing} '{url}/updates?last_event_id=1&timeout=20'

4. A client that keeps polling from the first event on, one line per poll (Ctrl-C ends it):

{scene.command} poll {auth} '{url}/updates?last_event_id=0'

5. A page that shows news arriving, with the token in it:

{url}/#token={scene.token}

6. The gateway's dashboard, on which polls are seen, and ended, while they are held:

{admin}/

7. The same to ask for, and the service's own view (its "gone" counts clients that left):

curl -sS -w '\\n' {admin}/healthz
curl -sS -w '\\n' {admin}/api/held
curl -sS -w '\\n' {url}/stats
{scene.command} top --url {admin}/

8. What was: calls that have ended, and what they add up to:

{scene.command} calls -c {shlex.quote(str(scene.config))}
{scene.command} report -c {shlex.quote(str(scene.config))}

Ctrl-C ends the demo. Below: the record of every call, as it ends.
"""

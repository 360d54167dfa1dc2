"""The edges that often stand in front, by name: how long each waits for an answer, and how long it keeps an idle
connection to us. A number of one's own in `server.front` wins. Each entry says where its numbers come from.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gateway.config.durations import format_duration, quoted


@dataclass(frozen=True, slots=True)
class Edge:
    """`waits`: seconds it waits for an answer to begin. `idle`: that clock is an idle timer, which closes kept
    connections as well; otherwise it times the answer. `keeps`: seconds it keeps an idle connection to us, None where
    its maker does not say. `answers`: what the client gets when it gives up. `fixed`: that clock cannot be changed."""

    waits: float
    idle: bool
    keeps: float | None
    answers: str
    source: str
    fixed: bool = False


KNOWN: Mapping[str, Edge] = MappingProxyType({
    # Application Load Balancer: one idle timeout for both its connections, 60 s unless changed; it runs while the
    # target is silent, so it is the clock of an answer as well. 1 to 4000 s.
    "aws-alb": Edge(
        60, True, 60, "504",
        "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/edit-load-balancer-attributes.html",
    ),
    # API Gateway, REST: integration timeout, 29 s unless a quota was raised. (HTTP APIs have 30 s, and no more.)
    "aws-apigw": Edge(
        29, False, None, "504",
        "https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html",
    ),
    # Application Gateway: request timeout of the backend settings, 30 s where a template leaves it out; the portal
    # offers 20 s. 1 to 86400 s.
    "azure-appgw": Edge(
        30, False, None, "504",
        "https://learn.microsoft.com/azure/application-gateway/configuration-http-settings",
    ),
    # Proxy read timeout: 100 s for years, 120 s in later texts; the shorter is safe with both. Enterprise plans may
    # have up to 6000 s. Proxy idle timeout: 900 s.
    "cloudflare": Edge(
        100, False, 900, "524",
        "https://developers.cloudflare.com/fundamentals/reference/connection-limits/",
    ),
    # Application Load Balancer: timeout of the backend service, 30 s unless changed; idle connections to backends are
    # kept for 600 s, which cannot be changed.
    "gcp-lb": Edge(
        30, False, 600, "504",
        "https://cloud.google.com/load-balancing/docs/https#timeouts_and_retries",
    ),
    # Router: the first byte within 30 s (then a rolling 55 s), fixed; idle connections are kept for 90 s.
    "heroku": Edge(
        30, False, 90, "503 (H12)",
        "https://devcenter.heroku.com/articles/http-routing",
        fixed=True,
    ),
})  # fmt: skip


def complete(value: object) -> object:
    """What a person wrote for `server.front` as a table with a number: a bare name, a bare duration, or a table that
    names a known edge and leaves the number out. Raises ValueError ("what; remedy") for a name nobody knows."""
    if isinstance(value, str):
        value = {"idle_timeout": value} if value[:1].isdigit() else {"name": value}
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        value = {"idle_timeout": value}
    if not isinstance(value, dict) or "idle_timeout" in value or not isinstance(value.get("name"), str):
        return value
    return {**value, "idle_timeout": _waits(value)}


def _waits(table: dict[str, Any]) -> str:
    name = table["name"]
    edge = KNOWN.get(name)
    if edge is not None:
        return format_duration(edge.waits)
    close = difflib.get_close_matches(name[:100].lower(), KNOWN, n=1, cutoff=0.6)
    meant = f'did you mean "{close[0]}"? Else write' if close else "write"
    raise ValueError(
        f"{quoted(name)} is none of the edges known by name ({', '.join(KNOWN)}); {meant} what it waits: "
        'idle_timeout = "60s"'
    )


def keeps(name: str, idle_timeout: float) -> float | None:
    """Seconds for which the edge keeps an idle connection to us, None if nobody knows. Of one without an entry here
    its `idle_timeout` is taken at its word."""
    edge = KNOWN.get(name)
    return idle_timeout if edge is None or edge.idle else edge.keeps


def is_fixed(name: str) -> bool:
    """Whether nobody can have it wait longer."""
    edge = KNOWN.get(name)
    return edge is not None and edge.fixed


def runs_out(name: str) -> str:
    """What the edge does when it has waited long enough, in a few words."""
    edge = KNOWN.get(name)
    if edge is None:
        return "it answers instead, often 504"
    return f"{'its connection was idle for so long' if edge.idle else 'no answer began'}: it says {edge.answers}"

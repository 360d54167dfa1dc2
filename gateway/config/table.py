"""The routes of a configuration as a table of text: what `gateway routes` prints."""

from __future__ import annotations

from gateway.config.durations import format_duration
from gateway.config.merge import Merged, merge_route
from gateway.config.settings import Config

_HEAD = ("ROUTE", "HOST", "PATH", "METHODS", "UPSTREAM", "HOLD", "POLICIES")


def route_table(config: Config) -> str:
    """One line per route under a line of titles, columns aligned."""
    rows = [_HEAD, *(_row(merge_route(config, route)) for route in config.routes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _row(merged: Merged) -> tuple[str, ...]:
    match = merged.route.match
    return (
        merged.route.name,
        match.host or "*",
        match.path,
        ",".join(match.methods) or "*",
        merged.route.upstream,
        _hold(merged),
        ",".join(merged.route.policies) or "-",
    )


def _hold(merged: Merged) -> str:
    """The range a client may ask for, or the one hold there is."""
    hold = merged.hold
    if hold is None:
        return "-"
    if hold.ask:
        return f"{format_duration(hold.min)}..{format_duration(hold.max)}"
    return format_duration(hold.absent) if hold.absent is not None else "-"

"""What an upstream's endpoints are watched by: probes that can succeed, and an ejection that can happen."""

from __future__ import annotations

import re
from math import floor

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.durations import quoted
from gateway.config.schema import Upstream
from gateway.config.schema.upstream import Ejection, Health

OFTEN = 0.5  # seconds: probes that come sooner are a load
_PATH = re.compile(r"/[!-~]*")
_HOST = re.compile(r"[0-9A-Za-z._:\[\]-]{1,255}")


def check_health(view: View) -> Findings:
    """`health` and `ejection` of every upstream."""
    for name, upstream in view.config.upstreams.items():
        if upstream.health is not None:
            yield from _health(view, name, upstream.health)
        if upstream.ejection is not None:
            yield from _ejection(view, name, upstream, upstream.ejection)


def _health(view: View, name: str, health: Health) -> Findings:
    if not _PATH.fullmatch(health.path) or "#" in health.path:
        text = f'{quoted(health.path)} is no path; write one that begins with "/", such as "/healthz"'
        yield view.at("upstream", name, "health.path", text)
    if health.host is not None and not _HOST.fullmatch(health.host):
        text = f'{quoted(health.host)} is not a host; write a name, such as "b.internal"'
        yield view.at("upstream", name, "health.host", text)

    if health.interval < OFTEN:
        text = (
            f'asks every endpoint {1 / health.interval:.0f} times a second; write "1s" or longer if that is not meant'
        )
        yield Notice(view.at("upstream", name, "health.interval", text))


def _ejection(view: View, name: str, upstream: Upstream, ejection: Ejection) -> Findings:
    low = [str(status) for status in ejection.status if status < 400]
    if low:
        text = f"{', '.join(low)}: answers below 400 are no failures; write statuses from 400 on, such as [502, 503]"
        yield view.at("upstream", name, "ejection.status", text)
    members = len(upstream.endpoints)
    if members > 1 and floor(ejection.max_share * members + 1e-9) < 1:
        text = (
            f"{ejection.max_share:g} of {members} endpoints is not one, so none is ever out; write more, such as "
            f"{1 / members + 0.005:.2f}, or ejection = false"
        )
        yield Notice(view.at("upstream", name, "ejection.max_share", text))

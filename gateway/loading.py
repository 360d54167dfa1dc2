"""From the configuration file to everything a running gateway takes from it. Reads files and may take a while, so a
reload does it in a thread; nothing that runs is touched here, and whatever is wrong is found here.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.config import read_config
from gateway.config.compile import compile_config
from gateway.config.settings import Config
from gateway.descriptors import Descriptors, raise_limit, share
from gateway.edge.tls import server_context
from gateway.machine.part import ALONE, Part
from gateway.plan import Snapshot
from gateway.policies.rate_limit import Screen

if TYPE_CHECKING:
    from gateway.policies.caps import Cap
    from gateway.policies.rate_limit import RateLimit
    from gateway.upstream.balance import Upstream


@dataclass(frozen=True, slots=True)
class Built:
    """A checked configuration, what a person should know of it, and what it compiled to."""

    config: Config
    notices: list[str]
    snapshot: Snapshot
    tls: ssl.SSLContext | None
    files: Descriptors

    @property
    def limits(self) -> dict[str, RateLimit | Cap]:
        """What the store counts under, and how."""
        plans = self.snapshot.plans
        found: dict[str, RateLimit | Cap] = {cap.limit: cap for plan in plans for cap in plan.caps}
        return found | {rate.limit: rate for plan in plans if plan.shown is not None for rate in plan.shown.limits}


Read = tuple[Config, list[str]]  # a checked configuration, and what a person should know of it


def build(
    path: Path, wall: Callable[[], float], screen: Screen, live: Mapping[str, Upstream] = MappingProxyType({}),
    part: Part = ALONE, read: Read | None = None,
) -> Built:  # fmt: skip
    """What is in the file now, or what was `read` of it. Raises ConfigError, ValueError or OSError, each with sentences
    for the operator."""
    config, notices = read or read_config(path)
    files = share(raise_limit(), config.server.max_connections, part.workers)
    snapshot = compile_config(config, wall, os.environ, screen, live)
    tls = config.server.tls
    return Built(config, notices, snapshot, server_context(tls) if tls else None, files)


def for_a_restart(opened: Config, new: Config) -> list[str]:
    """What was changed in the file but is open already, and so changes with the next start only."""
    pairs = {
        "server.listen": (opened.server.listen, new.server.listen),
        "server.workers": (opened.server.workers, new.server.workers),
        "server.vanished_after": (opened.server.vanished_after, new.server.vanished_after),
        "server.tls": (not opened.server.tls, not new.server.tls),
        "admin": (opened.admin, new.admin),
        "state": (opened.state, new.state),
        "log.calls": (opened.log.calls, new.log.calls),
        "log.rotate": (opened.log.rotate, new.log.rotate),
        "telemetry": (opened.telemetry.model_copy(update={"sample": new.telemetry.sample}), new.telemetry),
    }
    return [
        f"{key}: has changed, which counts from the next start on" for key, (was, now) in pairs.items() if was != now
    ]

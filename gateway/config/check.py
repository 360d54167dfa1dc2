"""Every problem of a configuration in one go: what the schema says, then every rule of `config.checks`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from gateway.config.assemble import Draft, assemble
from gateway.config.checks.answers import check_answers
from gateway.config.checks.balances import check_balances
from gateway.config.checks.certificates import check_certificates
from gateway.config.checks.clocks import check_clocks
from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.checks.headers import check_headers
from gateway.config.checks.health import check_health
from gateway.config.checks.holds import check_holds
from gateway.config.checks.kinds import check_kinds
from gateway.config.checks.limits import check_limits
from gateway.config.checks.listeners import check_listeners
from gateway.config.checks.log import check_log
from gateway.config.checks.names import check_names
from gateway.config.checks.places import check_places
from gateway.config.checks.process import check_process
from gateway.config.checks.providers import check_providers
from gateway.config.checks.replay import check_replay
from gateway.config.checks.retry import check_retry
from gateway.config.checks.routes import check_routes
from gateway.config.checks.secrets import check_secrets
from gateway.config.checks.state import check_state
from gateway.config.checks.streams import check_streams
from gateway.config.checks.upstreams import check_upstreams
from gateway.config.checks.websockets import check_websockets
from gateway.config.load import Loaded
from gateway.config.merge import Merged, merge_route
from gateway.config.problems import Problem
from gateway.config.settings import Config

_RULES: tuple[Callable[[View], Findings], ...] = (
    check_listeners,
    check_log,
    check_names,
    check_routes,
    check_kinds,
    check_websockets,
    check_holds,
    check_places,
    check_answers,
    check_process,
    check_state,
    check_clocks,
    check_streams,
    check_limits,
    check_replay,
    check_retry,
    check_secrets,
    check_headers,
    check_certificates,
    check_providers,
    check_upstreams,
    check_balances,
    check_health,
)


def check(loaded: Loaded, environ: Mapping[str, str] | None = None) -> tuple[Config | None, list[Problem], list[str]]:
    """The checked configuration (None when there is any problem), all problems, all notices.

    `environ` is where `env:` secrets are looked up, the process's own by default. Never raises for anything a
    person may have written.
    """
    if not loaded.sources:
        return None, loaded.problems, loaded.notices
    draft = assemble(loaded)
    problems = [*loaded.problems, *draft.problems]
    notices = list(loaded.notices)
    view = View(draft.config, draft.known, _mergeable(draft), os.environ if environ is None else environ)
    for rule in _RULES:
        for finding in rule(view):
            if isinstance(finding, Notice):
                notices.append(str(finding))
            else:
                problems.append(finding)
    unique = list(dict.fromkeys(problems))
    return None if unique else draft.config, unique, list(dict.fromkeys(notices))


def _mergeable(draft: Draft) -> tuple[Merged, ...]:
    """The routes of which everything they name is sound."""
    config = draft.config
    sound = (
        route
        for route in config.routes
        if route.upstream in config.upstreams and all(name in config.policies for name in route.policies)
    )
    return tuple(merge_route(config, route) for route in sound)

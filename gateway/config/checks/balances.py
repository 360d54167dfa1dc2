"""How calls are spread: what a balance looks at must be there, on every route of the upstream, and a session must be
told by something.
"""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.merge import Merged
from gateway.config.schema import Upstream
from gateway.config.texts import template_names
from gateway.holds.words import did_you_mean


def check_balances(view: View) -> Findings:
    """The balance of every upstream, and what its routes make of it."""
    for name, upstream in view.config.upstreams.items():
        yield from _sessions(view, name, upstream)
        if upstream.slow_start and upstream.balance.kind == "hash":
            text = f'has no effect with balance = "{upstream.balance}": values stay where they are; remove it'
            yield Notice(view.at("upstream", name, "slow_start", text))
    for merged in view.merged:
        yield from _of_route(view, merged, merged.upstream)


def _sessions(view: View, name: str, upstream: Upstream) -> Findings:
    balance, sticky = upstream.balance, upstream.sticky
    if balance.kind != "sticky":
        if sticky.model_fields_set:
            text = 'counts for nothing without a balance such as "sticky:query.sid"; write that, or remove the table'
            yield view.at("upstream", name, "sticky", text)
    elif sticky.id is not None:
        yield from _place(view, name, sticky.id, sticky.skip)
    elif balance.where in ("query", "path"):
        text = (
            f'is missing: what a session is called must be read from the answer that begins it; write id = "json:/'
            f'{balance.name}", or balance = "hash:{balance.where}.{balance.name}" if clients choose the name'
        )
        yield view.at("upstream", name, "sticky.id", text)


def _place(view: View, name: str, place: str, skip: str) -> Findings:
    from gateway.holds.session import compile_answer_place, compile_skip

    for key, read in (("id", lambda: compile_answer_place(place)), ("skip", lambda: compile_skip(skip))):
        try:
            read()
        except ValueError as error:
            yield view.at("upstream", name, f"sticky.{key}", str(error))


def _of_route(view: View, merged: Merged, upstream: Upstream) -> Findings:
    balance, route, name = upstream.balance, merged.route, merged.route.upstream
    if balance.where == "path" and balance.name not in (captured := template_names(route.match.path)):
        remedy = f"{route.match.path.removesuffix('/**').rstrip('/')}/{{{balance.name}}}"
        where = f"`{balance}`: the path of route '{route.name}' has no {{{balance.name}}}"
        text = f'{where}{did_you_mean(balance.name, captured)}; write it there, such as path = "{remedy}"'
        yield view.at("upstream", name, "balance", text)
    if balance.where in ("consumer", "tenant") and merged.jwt is None:
        text = f"`{balance}`: of callers of route '{route.name}' only addresses are known; add a policy with jwt"
        yield Notice(view.at("upstream", name, "balance", text))
    hold = merged.hold
    if hold is None:
        return
    if balance.kind == "sticky" and upstream.sticky.keep <= hold.max:
        held = f"its poll on route '{route.name}' is held, up to {hold.max:g}s"
        text = f"a session may be forgotten while {held}; write more"
        yield Notice(view.at("upstream", name, "sticky.keep", text))
    if hold.replay == "session" and not balance.where and len(upstream.endpoints) > 1:
        text = (
            f"`{balance}`: the polls of a session of route '{route.name}' go to different endpoints; write a balance "
            'such as "sticky:query.sid" unless they share their sessions'
        )
        yield Notice(view.at("upstream", name, "balance", text))

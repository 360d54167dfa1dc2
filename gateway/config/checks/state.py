"""Where state lives against who shares it: several workers need a place that all of them reach."""

from __future__ import annotations

from gateway.config.checks.finding import Findings, Notice, View
from gateway.config.schema.server import State


def check_state(view: View) -> Findings:
    """A memory that only one process has, a password that everybody on the way can read, keys that are not read."""
    state, workers = view.config.state, view.config.server.workers
    if state.url.kind == "memory" and workers != 1:
        text = (
            "each worker would count for itself and every limit would be several times what it says; "
            'write [state] url = "shared://", or workers = 1'
        )
        yield view.main("server.workers", text)
    if state.url.kind == "redis":
        yield from _secrets(view, state)
    else:
        for key in ("user", "password", "ca"):
            if getattr(state, key) is not None:
                yield view.main(f"state.{key}", f"{state.url} asks for none; remove it")


def _secrets(view: View, state: State) -> Findings:
    if state.user is not None and state.password is None:
        yield view.main("state.user", 'a user has a password; write password = "env:REDIS_PASSWORD"')
    if state.ca is not None and not state.url.tls:
        yield view.main("state.ca", f"{state.url} shows no certificate; write rediss://, or remove it")
    if state.password is not None and not state.url.tls and state.url.host not in ("localhost", "127.0.0.1", "::1"):
        text = "goes over the network in plain text; write rediss://, if the server speaks TLS"
        yield Notice(view.main("state.password", text))

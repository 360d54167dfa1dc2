"""How the request really ends or goes on, in the gateway's own words, and what would have been served instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.explain.model import Answer, Verdict
from gateway.explain.words import hidden, problem_of, slug_of
from gateway.outcome import Outcome
from gateway.target import without_port

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.settings import Config
    from gateway.explain.scene import Scene
    from gateway.explain.secrets import Mask

_SHOWN = 5  # routes or hosts named in a hint
_NO_NEWS = frozenset({Outcome.BLANK, Outcome.EXPIRED, Outcome.OVERRUN})


def verdict(config: Config, scene: Scene, mask: Mask) -> Verdict:
    """What became of the call of `scene`, just after it came in."""
    call = scene.call
    if call.outcome is None:
        return Verdict("held" if call.hold is not None else "forwarded")
    result = "refused"
    if call.outcome is Outcome.PREFLIGHT:
        result = "preflight"
    elif call.outcome in _NO_NEWS:
        result = "answered"
    answer = hidden(scene.answer, call.id, mask)
    if answer is None:
        return Verdict(result, call.outcome.value)
    slug, detail = slug_of(answer), problem_of(answer).get("detail")
    hint = _hint(config, call, slug, answer)
    return Verdict(result, call.outcome.value, slug, str(detail) if detail is not None else None, hint, answer)


def _hint(config: Config, call: Call, slug: str | None, answer: Answer) -> str | None:
    """What is served instead of what was asked for."""
    host = without_port(call.head.host) if call.head is not None else ""
    if slug == "no_route":
        same = [route for route in config.routes if _answers(route.match.host, host)]
        return "served at this host: " + _list([f"{','.join(r.match.methods) or '*'} {r.match.path}" for r in same])
    if slug == "unknown_host":
        return "hosts served: " + _list(list(dict.fromkeys(route.match.host or "*" for route in config.routes)))
    if slug == "method_not_allowed":
        return f"methods served at this path: {answer.header('Allow')}"
    return None


def _answers(pattern: str | None, host: str) -> bool:
    return pattern is None or pattern == host or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _list(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more if items else "nothing"

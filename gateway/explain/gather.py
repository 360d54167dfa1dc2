"""Puts an explanation together: plays the described request on the real gateway, reads off the call what every step
wrote, and plays it again for each thing that may happen later. Reads key files and secrets as `gateway run` would;
opens no connection and starts no task.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.config.compile import compile_config
from gateway.config.merge import Merged, merge_route
from gateway.explain.admission import caller, lenient
from gateway.explain.client import client_story
from gateway.explain.clocks import clock_stories, race
from gateway.explain.dialect import rules
from gateway.explain.events import Play, events, silence
from gateway.explain.forwarded import forwarded
from gateway.explain.hold import hold_story
from gateway.explain.limits import Asking, counted, limit_stories, not_asked
from gateway.explain.model import Explanation, StepStory
from gateway.explain.refused import own_words
from gateway.explain.route import host_for, route_story
from gateway.explain.scene import Scene, Unused, played
from gateway.explain.secrets import Mask, mask_for
from gateway.explain.settings import settings_of
from gateway.explain.verdict import verdict
from gateway.explain.words import told
from gateway.holds.content import Content, media_type
from gateway.pipeline import Refusal
from gateway.policies.rate_limit import Screen

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.config.settings import Config
    from gateway.explain.request import Described
    from gateway.head import RequestHead
    from gateway.plan import Snapshot


def explain(
    config: Config, request: Described, wall: float, every: bool = False, environ: Mapping[str, str] = os.environ,
    asking: Asking | None = None,
) -> Explanation:  # fmt: skip
    """Explains one request that arrives at `wall` (Unix seconds). `every` lists defaults among the settings too, and
    `asking` is asked for the counts of now. The request is the first of its day: no limit of it is used up.

    Raises ValueError ("what; remedy") for what only reading key files can show.
    """
    snapshot = compile_config(config, lambda: wall, environ, Screen(Unused(), lambda: 0.0))
    host = request.host or host_for(config, snapshot, request)
    raw = request.raw(host)
    with played(config, snapshot, raw, wall, request.peer) as scene:
        head, merged = _head_of(scene, raw), _merged(config, scene.call)
        mask = _mask(config, snapshot, merged, scene.call, head)
        truth, sent = verdict(config, scene, mask), forwarded(scene, head, mask) if head is not None else None
    target = f"{head.path}{'?' + head.query if head.query else ''}" if head is not None else request.target
    found = Explanation(request.method, mask.target(target), mask.text(host), request.peer, truth)
    if head is not None:
        found = replace(found, client=client_story(config, snapshot, request.peer, head))
    if merged is None or head is None:
        return found
    found = replace(found, route=route_story(config, merged), settings=settings_of(merged, every))
    if truth.result == "preflight":
        return found
    steps: list[StepStory] = []
    play = partial(played, config, lenient(config, snapshot, steps), raw, wall, found.peer)
    with play() as scene:
        head = _head_of(scene, raw) or head
        mask = mask.seen(head)
        found = replace(found, forwarded=sent or forwarded(scene, head, mask), admission=tuple(steps))
        return _inside(config, found, merged, scene, head, mask, raw, wall, play, asking)


def _inside(config: Config, found: Explanation, merged: Merged, scene: Scene, head: RequestHead, mask: Mask,
            raw: bytes, wall: float, play: Play, asking: Asking | None) -> Explanation:  # fmt: skip
    """What follows once a route was found, played as if every step let the call on."""
    call, parked = scene.call, scene.parked
    found = replace(
        found,
        as_if_admitted=any(step.status is not None for step in found.admission),
        caller=caller(call, wall, mask),
        **_of_hold(config, merged, call, head, mask, len(raw) - _end(raw), wall),
    )
    limits = limit_stories(merged, call, head, mask)
    if limits:
        stories, who = counted(limits, asking or not_asked)
        found = replace(found, limits=stories, counts_from=who)
    if not parked:
        return found
    quiet = silence(play, mask)
    clocks = clock_stories(config, merged, call, quiet)
    client = told(quiet.answer) if quiet.answer is not None else quiet.then
    words = own_words(play, call.plan.hold, mask) if call.plan is not None and call.plan.hold is not None else ()
    return replace(
        found,
        clocks=clocks,
        refusals=words,
        race=race(config, merged, call, clocks, client),
        events=events(play, mask, quiet, config.server.drain, raw),
    )


def _of_hold(
    config: Config, merged: Merged, call: Call, head: RequestHead, mask: Mask, length: int, wall: float
) -> dict[str, Any]:
    table = merged.hold
    if table is None:
        return {}
    story = hold_story(config, table, call, head, length, wall, mask)
    return {"hold": story, "rules": rules(table, call, head, call.blank, mask)}


def _end(raw: bytes) -> int:
    return raw.find(b"\r\n\r\n") + 4


def _head_of(scene: Scene, raw: bytes) -> RequestHead | None:
    """The head as it came, which the call no longer has once it was forwarded, and what was read of the body."""
    parsed = scene.parsers.request(raw[: _end(raw)], scene.scheme)
    if isinstance(parsed, Refusal):
        return None
    head = parsed[0]
    head.params = scene.call.params
    if scene.serve.whole is not None:
        head.content = Content(scene.serve.whole, media_type(head))
    return head


def _merged(config: Config, call: Call) -> Merged | None:
    name = call.plan.route if call.plan is not None else None
    route = next((route for route in config.routes if route.name == name), None)
    return merge_route(config, route) if route is not None else None


def _mask(config: Config, snapshot: Snapshot, merged: Merged | None, call: Call, head: RequestHead | None) -> Mask:
    mask = mask_for(config, head)
    if merged is None or call.plan is None:
        return mask.for_no_route(config, snapshot.secret_prefixes)
    mask = mask.for_route(merged, call.plan, call.params, snapshot.secret_prefixes)
    return mask.seen(head) if head is not None else mask

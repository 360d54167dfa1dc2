"""Crowds under one rule for a second poll: who polls is read from `?sid=`."""

from __future__ import annotations

from typing import Any

from gateway.call import State
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from gateway.policies.caps import Cap
from gateway.pollers import Kept

from .crowd import Caller, Crowd
from .heads import response
from .holds import hold_plan
from .serving import POLLS

LOSER = Reply(Outcome.ANSWERED, 409, ((b"X-Lost", b"1"),), b"lost")
RULES = ("newest-wins", "oldest-wins", "session-fatal")
NEWEST, OLDEST, FATAL = RULES
TEMPLATE = POLLS["template"].template


def crowd(rule: str = "many", *, answer: str = "template", caps: tuple[Cap, ...] = (), rates: Any = (),
          **values: Any) -> Crowd:  # fmt: skip
    template = TEMPLATE if answer == "template" else None
    hold = hold_plan(concurrency=rule, key=lambda asked: asked.arg("sid"), loser=LOSER, answer=answer,
                     template=template, **values)  # fmt: skip
    return Crowd(rates, caps, hold=hold)


def poll(them: Crowd, sid: str | None = "x", who: str = "a", timeout: float = 25.0) -> Caller:
    named = f"&sid={sid}" if sid is not None else ""
    return them.call(who, f"/updates?timeout={timeout:g}{named}")


def begun(rule: str, body: bytes = b"\n", **values: Any) -> tuple[Crowd, Caller]:
    """A poll whose answer has begun without news, as its dialect's do."""
    them = crowd(rule, early_headers=True, **values)
    older = poll(them)
    them.serve.on_head(older.call, response(200, {}, 10_000), body, False)
    assert older.call.held_on
    return them, older


def kept(caller: Caller) -> bool:
    return caller.call.state is State.WAITING and isinstance(caller.call.up, Kept)


def parked(caller: Caller) -> bool:
    return caller.call.state is State.PARKED


def told(caller: Caller) -> tuple[Outcome | None, int | None]:
    return caller.call.outcome, caller.status


def check_empty(them: Crowd) -> None:
    them.loop.turns(2)
    assert len(them.limits.pollers) == 0 and them.upstream.held == 0 and them.store.held("cap", "updates") == 0
    assert not them.loop.errors
    assert all(caller.call.leases == () and caller.over for caller in them.callers)

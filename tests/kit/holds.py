"""Hold plans for tests: one with plain numbers to vary, and those of the policy files."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.holds.blank import compile_template
from gateway.holds.cursor import compile_cursor
from gateway.holds.idle import compile_idle
from gateway.holds.plan import UNBOUNDED, AskPlace, HoldPlan, Jitter
from gateway.holds.predicate import compile_when
from gateway.holds.units import go_duration

POLICIES = Path(__file__).parents[2] / "policies"
PLAIN = HoldPlan(
    dialect="plain",
    when=compile_when([]),
    ask=(AskPlace("query", "timeout", "s"),),
    absent=25.0,
    zero="none",
    negative="none",
    min=1.0,
    max=60.0,
    over_max="clamp",
    rewrite=True,
    jitter=Jitter(),
    margin=5.0,
    client_timeout=None,
    answer="template",
    template=None,
    idle=compile_idle([])[0],
    idle_body_limit=0,
    cursor=compile_cursor(None),
    replay="cursor",
    refusals={},
)


def hold_plan(**changes: Any) -> HoldPlan:
    """The plain plan (25 s by default, 1-60 s, `timeout` in the query, margin 5 s) with some values changed."""
    return replace(PLAIN, **changes)


def shipped(name: str) -> HoldPlan:
    """A policy file of the wheel, compiled without the configuration loader."""
    table = tomllib.loads((POLICIES / f"{name}.toml").read_text())["policy"][name]["hold"]
    empty = table["empty"]
    idle, limit, recall = compile_idle(table["idle"])
    jitter = Jitter(table["jitter"]["ratio"], _seconds(table["jitter"]["span"]), _seconds(table["jitter"]["early"]))
    template = None
    if empty["answer"] == "template":
        template = compile_template(
            empty["status"], empty.get("headers", {}), empty.get("body", ""), empty.get("needs", [])
        )
    return HoldPlan(
        dialect=name,
        when=compile_when(table["when"]),
        ask=tuple(AskPlace(place["in"], place["name"], place["unit"]) for place in table["ask"]),
        absent=None if table["absent"] == "none" else _seconds(table["absent"]),
        zero=table["zero"],
        negative=table["negative"],
        min=_seconds(table["min"]),
        max=_seconds(table["max"]),
        over_max=table["over_max"],
        rewrite=table["rewrite"],
        jitter=jitter,
        margin=_seconds(table["margin"]),
        client_timeout=_seconds(table["client_timeout"]),
        answer=empty["answer"],
        template=template,
        idle=idle,
        idle_body_limit=limit,
        recall=recall,
        cursor=compile_cursor(table.get("cursor", {}).get("request")),
        replay=table["replay"],
        refusals={},
    )


def _seconds(text: str) -> float:
    if text == "unbounded":
        return UNBOUNDED
    value = go_duration(text)
    assert value is not None, text
    return value

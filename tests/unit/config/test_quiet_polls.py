"""What `check` promises about clocks, tried against the arithmetic that polls really run on: where it finds no error,
a poll that nothing happens to ends in "no news", before anybody's clock that means failure.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from gateway.config.dialect import compile_hold
from gateway.config.durations import format_duration
from gateway.config.merge import merge_route
from gateway.config.settings import Config
from gateway.holds import ask, budget
from gateway.holds.plan import HoldPlan
from tests.kit.heads import head

from .kit import BASE, ROUTE, checked

TEMPLATE = "{ answer = 'template', headers = { Content-Type = 'application/json' }, body = '[]' }"
times = st.integers(0, 1200).map(lambda tenths: tenths / 10)


@st.composite
def holds(draw: st.DrawFn) -> str:
    """A hold table and a front, as a person might write them: any numbers, but each of a kind."""
    longest = draw(times)
    lines = {
        "max": said(longest),
        "min": said(draw(st.sampled_from([0.0, 1.0]))),
        "absent": draw(st.sampled_from(["'none'", "'unbounded'", said(longest), said(draw(times))])),
        "margin": said(draw(st.sampled_from([0.0, 0.1, 1.0, 5.0]))),
        "jitter": f"{{ ratio = {draw(st.sampled_from([0.0, 0.0625, 0.5]))}, span = {said(draw(times) / 10)} }}",
        "empty": draw(st.sampled_from([TEMPLATE, "{ answer = 'origin' }", "{ answer = 'never' }"])),
    }
    if draw(st.booleans()):
        lines["ask"] = "[{ in = 'query', name = 't' }]"
        lines["rewrite"] = draw(st.sampled_from(["true", "false"]))
        lines["over_max"] = draw(st.sampled_from(["'clamp'", "'reject'", "'pass'"]))
    if draw(st.booleans()):
        lines["client_timeout"] = said(draw(near(longest)))
    front = f"[server]\nfront = {said(draw(near(longest)))}\n" if draw(st.booleans()) else ""
    table = "\n".join(f"{key} = {value}" for key, value in lines.items())
    return BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + f"[policy.p.hold]\n{table}\n{front}"


def near(longest: float) -> st.SearchStrategy[float]:
    """A patience of about that length, where it is decided whether it is enough."""
    return st.integers(1, 300).map(lambda tenths: longest + tenths / 10)


def said(seconds: float) -> str:
    return f"'{format_duration(seconds)}'"


@given(text=holds(), wish=st.none() | st.integers(1, 200), share=st.sampled_from([0.0, 0.5, 1.0]), silent=st.booleans())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_where_check_finds_no_error_a_quiet_poll_ends_in_no_news(
    tmp_path: Path, text: str, wish: int | None, share: float, silent: bool
) -> None:
    config = checked(tmp_path, text).config
    assume(config is not None)
    assert config is not None
    hold = merge_route(config, config.routes[0]).hold
    assert hold is not None
    plan = compile_hold(hold, "p")
    asked = ask.read(plan, head("GET", "/r" + (f"?t={wish}" if wish is not None else "")))
    assume(asked.held and asked.refused is None)
    patient = plan.over_max == "pass" and wish is not None and wish > plan.max  # who asks for more knows its own clock
    client = float("inf") if plan.client_timeout is None or patient else plan.client_timeout
    end = simulate(config, plan, asked, share, silent and plan.answer == "template")
    event(f"{plan.answer}: {end[1]}")
    assert end[1] == "no news"
    assert end[0] < client or silent  # whom a silent upstream keeps too long is a notice where nothing is lost
    assert config.server.front is None or end[0] < config.server.front.idle_timeout


def simulate(config: Config, plan: HoldPlan, asked: ask.Ask, share: float, silent: bool) -> tuple[float, str]:
    """When and how the poll ends: by the upstream, which answers within its jitter unless it is `silent`, or by us."""
    front = config.server.front
    limits = [("front", front.idle_timeout - budget.FRONT_MARGIN)] if front is not None else []
    grant = budget.grant(0.0, asked.seconds, plan, limits, asked.told)
    if grant.answer_now is not None:  # the edge leaves nothing to hold for: that is said at once
        return 0.0, "no news" if plan.answer == "template" else "504"
    told = budget.wait_left(plan, grant.hold, grant.deadline, 0.0) if grant.rewrite else asked.told
    assert told is not None
    answers = told + share * plan.jitter.longest(told) if not silent and told != float("inf") else float("inf")
    if answers < grant.deadline:
        return answers, "no news"
    return grant.deadline, "no news" if plan.answer == "template" else "504"


def test_an_edge_that_leaves_nothing_to_ask_for_is_refused_where_we_may_not_speak(tmp_path: Path) -> None:
    """Found by the property above: every wish would have been shortened to less than it can be written as."""
    table = "max = '0s'\nmin = '0s'\nabsent = 'none'\nmargin = '100ms'\nover_max = 'pass'\n"
    table += "ask = [{ in = 'query', name = 't' }]\nrewrite = true\n"
    text = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + f"[policy.p.hold]\n{table}"
    (problem,) = checked(tmp_path, f"{text}[server]\nfront = '1.1s'\n").problems
    assert problem.startswith("gateway.toml: policy.p.hold.over_max: front waits only 1.1s, which leaves no hold")
    assert checked(tmp_path, f"{text}[server]\nfront = '2.2s'\n").problems == []


@pytest.mark.parametrize("margin", ["0s", "1ms"])
def test_the_simulation_can_fail(tmp_path: Path, margin: str) -> None:
    """Without a margin an origin's poll ends in our 504, which is why `check` refuses it."""
    text = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "[policy.p.hold]\nabsent = '25s'\nmargin = '1ms'\n"
    config = checked(tmp_path, text).config
    assert config is not None
    hold = merge_route(config, config.routes[0]).hold
    assert hold is not None
    plan = compile_hold(hold.model_copy(update={"margin": 0.0 if margin == "0s" else 0.001}), "p")
    _, how = simulate(config, plan, ask.read(plan, head("GET", "/r")), 1.0, False)
    assert how == ("504" if margin == "0s" else "no news")

"""The arithmetic of a hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER
from gateway.holds import budget
from gateway.holds.plan import UNBOUNDED, AskPlace, Jitter
from tests.kit.holds import hold_plan

NOW = 1000.0
MILLIS = (AskPlace("query", "timeout", "ms"),)


@pytest.mark.parametrize(
    ("asked", "changes", "hold", "after", "clamped_by"),
    [
        (10.0, {}, 10.0, 15.0, None),
        (None, {}, 25.0, 30.0, None),
        (90.0, {}, 60.0, 65.0, "max"),
        (0.2, {}, 1.0, 6.0, "min"),
        (None, {"absent": UNBOUNDED}, 60.0, 65.0, "max"),
        (None, {"absent": 300.0}, 60.0, 65.0, "max"),
        (16.0, {"jitter": Jitter(0.0625, 2.0)}, 16.0, 24.0, None),
        (16.0, {"jitter": Jitter(early=0.5)}, 16.0, 21.0, None),
        (90.0, {"over_max": "pass"}, 90.0, 95.0, None),
        (1e12, {"over_max": "pass"}, 86_400.0, 86_405.0, "max"),
        (None, {"over_max": "pass", "absent": UNBOUNDED}, 60.0, 65.0, "max"),
        (math.inf, {}, 60.0, 65.0, "max"),
        (math.nan, {}, 25.0, 30.0, None),
        (-3.0, {}, 1.0, 6.0, "min"),
        (None, {"max": UNBOUNDED, "absent": UNBOUNDED}, 86_400.0, 86_405.0, "max"),
        (5.0, {"min": 10.0, "max": 8.0}, 8.0, 13.0, "min"),
    ],
)
def test_the_deadline_is_the_clamped_wish_plus_jitter_and_margin(asked, changes, hold, after, clamped_by):
    got = budget.grant(NOW, asked, hold_plan(**changes))
    assert (got.hold, got.deadline - NOW, got.clamped_by) == (hold, pytest.approx(after), clamped_by)
    assert got.answer_now is None


@pytest.mark.parametrize(
    ("limits", "hold", "after", "clamped_by", "answer_now"),
    [
        ([("token", 100.0)], 10.0, 15.0, None, None),
        ([("token", 12.0)], 7.0, 12.0, "token", None),
        ([("token", 12.0), ("drain", 8.0)], 3.0, 8.0, "drain", None),
        ([("drain", 8.0), ("token", 12.0)], 3.0, 8.0, "drain", None),
        ([("front", 14.0)], 9.0, 14.0, "front", None),
        ([("token", 5.5)], 0.5, 5.5, "token", "token"),
        ([("token", 2.0)], 0.0, 2.0, "token", "token"),
        ([("token", -3.0)], 0.0, -3.0, "token", "token"),
        ([("token", math.inf)], 10.0, 15.0, None, None),
    ],
)
def test_the_earliest_limit_shortens_the_hold(limits, hold, after, clamped_by, answer_now):
    got = budget.grant(NOW, 10.0, hold_plan(), [(cause, NOW + instant) for cause, instant in limits])
    assert (got.hold, got.deadline - NOW, got.clamped_by, got.answer_now) == (hold, after, clamped_by, answer_now)


def test_a_shortened_hold_leaves_room_for_its_own_jitter():
    plan = hold_plan(jitter=Jitter(0.25, 1.0))
    got = budget.grant(NOW, 40.0, plan, [("token", NOW + 31.0)])
    assert got.hold == 20.0  # 20 + 5 + 1 of jitter + 5 of margin


def test_an_upstream_that_can_be_told_is_due_by_what_it_is_told():
    got = budget.grant(NOW, 90.0, hold_plan(jitter=Jitter(span=2.0)))
    assert got.rewrite
    assert got.upstream_due == NOW + 62.0
    assert got.deadline >= got.upstream_due  # quiet for longer: an overrun


@pytest.mark.parametrize(
    ("asked", "told", "due"),
    [(90.0, None, 90.0), (None, None, 25.0), (10.0, 10.0, 10.0), (10.0, UNBOUNDED, NEVER), (0.2, None, 1.0)],
)
def test_an_upstream_that_cannot_be_told_is_due_by_what_the_client_said(asked, told, due):
    plan = hold_plan(rewrite=False)
    got = budget.grant(NOW, asked, plan, told=told)
    assert not got.rewrite
    assert got.upstream_due == NOW + due
    assert (got.deadline < got.upstream_due) == (due > 65.0)  # then the deadline is a blank


def test_a_template_may_end_a_hold_the_upstream_was_not_told_to_shorten():
    got = budget.grant(NOW, None, hold_plan(ask=(), rewrite=False), [("drain", NOW + 12.0)])
    assert (got.answer_now, got.deadline) == (None, NOW + 12.0)
    assert got.deadline < got.upstream_due


@pytest.mark.parametrize(
    ("cause", "after", "answer_now"),
    [("token", 12.0, "token"), ("drain", 12.0, "drain"), ("front", 12.0, None), ("token", 26.0, None)],
)
def test_a_poll_nobody_may_cut_is_not_begun_when_a_limit_would_cut_it(cause, after, answer_now):
    plan = hold_plan(ask=(), rewrite=False, answer="origin", replay="destructive")
    got = budget.grant(NOW, None, plan, [(cause, NOW + after)])
    assert (got.answer_now, got.deadline) == (answer_now, NOW + after)


def test_a_hold_below_the_step_of_its_unit_is_not_forwarded():
    limits = [("drain", NOW + 5.6)]
    assert budget.grant(NOW, 10.0, hold_plan(min=0.0), limits).answer_now == "drain"
    assert budget.grant(NOW, 10.0, hold_plan(min=0.0, ask=MILLIS), limits).answer_now is None


@pytest.mark.parametrize(
    ("changes", "later", "left"),
    [
        ({}, 0.0, 10.0),
        ({}, 0.001, 10.0),
        ({}, 0.49, 10.0),
        ({}, 3.0, 7.0),
        ({}, 9.5, None),
        ({}, 60.0, None),
        ({"margin": 0.0}, 0.0, 10.0),
        ({"jitter": Jitter(0.25, 1.0)}, 5.0, 6.0),
        ({"ask": (), "rewrite": False}, 3.0, 7.0),
        ({"ask": (), "rewrite": False, "answer": "origin"}, 3.0, 10.0),
        ({"ask": (), "rewrite": False, "answer": "origin"}, 5.5, None),
        ({"rewrite": True, "answer": "origin"}, 3.0, 7.0),
    ],
)
def test_what_passed_before_forwarding_is_taken_off_the_wait(changes, later, left):
    plan = hold_plan(**changes)
    got = budget.grant(NOW, 10.0, plan)
    assert budget.wait_left(plan, got.hold, got.deadline, NOW + later) == (left and pytest.approx(left))


def test_a_deadline_brought_forward_shortens_what_is_asked():
    assert budget.wait_left(hold_plan(), 40.0, NOW + 20.0, NOW) == 15.0


def test_the_third_overrun_in_a_row_is_no_longer_answered():
    assert [budget.overrun_answer(count) for count in (1, 2, 3, 4)] == [True, True, False, False]


def test_an_upstream_told_no_end_is_never_due():
    assert budget.due(hold_plan(jitter=Jitter(0.1)), UNBOUNDED, NOW) == NEVER


PLANS = st.builds(
    hold_plan,
    absent=st.one_of(st.none(), st.floats(0, 1000), st.just(UNBOUNDED)),
    min=st.floats(0, 30),
    max=st.one_of(st.floats(30, 1e5), st.just(UNBOUNDED)),
    over_max=st.sampled_from(["clamp", "pass"]),
    rewrite=st.booleans(),
    ask=st.sampled_from([(), MILLIS, hold_plan().ask]),
    answer=st.sampled_from(["template", "origin", "never"]),
    jitter=st.builds(Jitter, st.floats(0, 2), st.floats(0, 100), st.floats(0, 5)),
    margin=st.floats(0.1, 60),
)
LIMITS = st.lists(st.tuples(st.sampled_from(["token", "drain", "front"]), st.floats(-100, 1000)), max_size=3)
ASKED = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 200))


@given(ASKED, PLANS, LIMITS)
def test_a_grant_is_finite_and_within_every_bound(asked, plan, limits):
    got = budget.grant(NOW, asked, plan, [(cause, NOW + instant) for cause, instant in limits])
    assert math.isfinite(got.hold)
    assert math.isfinite(got.deadline)
    assert not math.isnan(got.upstream_due)
    assert got.hold >= 0
    assert all(got.deadline <= NOW + instant for _, instant in limits)
    wish = plan.absent if asked is None or math.isnan(asked) else asked
    if plan.over_max == "clamp":
        assert got.hold <= plan.max
    assert got.hold <= max(wish or 0.0, plan.min)
    if got.answer_now is None and plan.writable:
        assert got.hold * (1 + plan.jitter.ratio) + plan.jitter.span + plan.margin <= got.deadline - NOW + 1e-6


@given(ASKED, PLANS.filter(lambda plan: plan.writable), LIMITS, st.floats(0, 200))
def test_the_wait_sent_fits_before_the_deadline(asked, plan, limits, later):
    got = budget.grant(NOW, asked, plan, [(cause, NOW + instant) for cause, instant in limits])
    left = budget.wait_left(plan, got.hold, got.deadline, NOW + later)
    if got.answer_now is not None or left is None:
        return
    assert left <= got.hold
    slack = min(0.1 * plan.margin, 0.5)
    needed = left * (1 + plan.jitter.ratio) + plan.jitter.span + plan.margin
    assert needed <= got.deadline - (NOW + later) + slack + 1e-6
    assert left == got.hold or left >= plan.min


@given(ASKED, PLANS)
def test_a_healthy_upstream_that_was_told_is_due_before_an_unlimited_deadline(asked, plan):
    got = budget.grant(NOW, asked, plan)
    if plan.writable:
        assert got.upstream_due < got.deadline


@pytest.mark.parametrize(
    ("unit", "wait", "told"), [("s", 9.95, 9.0), ("s", 10.0, 10.0), ("s", 0.4, 0.4), ("ms", 9.9507, 9.95)]
)
def test_what_an_upstream_was_told_is_rounded_down_to_the_unit_of_the_wish(unit: Any, wait: float, told: float) -> None:
    plan = hold_plan(ask=(AskPlace("query", "timeout", unit),), rewrite=True)
    assert budget.as_written(plan, wait) == pytest.approx(told)

"""The decisions on a call's way in: which route, whether it is a poll, and what is said where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway import admission, refusals
from gateway.identity.claims import Identity
from gateway.outcome import Outcome
from gateway.pipeline import Refusal, Reply
from gateway.policies.cors import compile_cors
from gateway.routing import Rule
from gateway.upstream import failure
from tests.kit.calls import head_of
from tests.kit.heads import head as make_head
from tests.kit.holds import hold_plan
from tests.kit.serving import BLANK, POLLS, TEMPLATE, WALL, Scene

ORIGIN = ("Origin", "https://a.example")
CORS = compile_cors(["https://a.example"], ("GET",), ("X-A",), (), False, 600)


def routed(
    method: str, target: str, *headers: tuple[str, str], rule: Rule | None = None, **plan: Any
) -> tuple[Scene, Any]:
    head = head_of(target, *headers, method=method)
    scene = Scene(head=head, rule=rule or Rule("gateway.test", "/a/{x}", ("GET", "POST")), **plan)
    return scene, admission.route(scene.call, head, scene.snapshot)


def test_a_route_writes_its_plan_and_the_parameters() -> None:
    scene, verdict = routed("GET", "/a/7")
    assert verdict is None and scene.call.plan is scene.plan and scene.call.params == {"x": "7"}


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"),
    [("GET", "/b", 404, None), ("DELETE", "/a/7", 405, b"GET, HEAD, POST"), ("OPTIONS", "/a/7", 405,
     b"GET, HEAD, POST"),
     ("TRACE", "/a/7", 405, b"GET, HEAD, POST"), ("HEAD", "/a/7", None, None)],
)  # fmt: skip
def test_what_is_not_served_is_said_with_the_methods_that_are(
    method: str, target: str, status: int | None, allow: bytes | None
) -> None:
    _, verdict = routed(method, target)
    assert (verdict.status if verdict else None) == status
    assert allow is None or dict(verdict.headers)[b"Allow"] == allow


@pytest.mark.parametrize(
    "rule", [Rule(None, "/a", ("GET",)), Rule(None, "/**", ()), Rule("gateway.test", "/a", ()), Rule(None, "/{x}", ())]
)
def test_connect_is_405_whatever_is_served(rule: Rule) -> None:
    """Its target is no path, so no route decides (DESIGN.md section 6)."""
    head = head_of("*", method="CONNECT")
    head.host = ""
    scene = Scene(head=head, rule=rule).open()
    assert (scene.call.status, scene.call.outcome) == (405, Outcome.METHOD_NOT_ALLOWED)


def test_a_route_for_any_method_serves_no_trace() -> None:
    verdict = routed("TRACE", "/a", rule=Rule(None, "/a", ()))[1]
    assert verdict.status == 405 and b"TRACE" not in dict(verdict.headers)[b"Allow"]


@pytest.mark.parametrize(
    ("host", "status"), [("gateway.test:8080", None), ("gateway.test.", None), ("other.test", 421), ("", 421)]
)
def test_a_host_nobody_answers_for_is_misdirected(host: str, status: int | None) -> None:
    head = head_of("/a/7")
    head.host = host
    scene = Scene(head=head, rule=Rule("gateway.test", "/a/{x}", ()))
    verdict = admission.route(scene.call, head, scene.snapshot)
    assert (verdict.status if isinstance(verdict, Refusal) else None) == status


@pytest.mark.parametrize(("length", "refused"), [(None, False), (10, False), (11, True)])
def test_a_body_announced_too_large_is_refused_before_it_is_read(length: int | None, refused: bool) -> None:
    head = head_of("/updates", method="POST", length=length)
    scene = Scene(head=head, max_body=10)
    assert admission.route(scene.call, head, scene.snapshot) is (refusals.TOO_LARGE if refused else None)


def test_a_preflight_is_answered_for_the_route_it_asks_about() -> None:
    scene, verdict = routed("OPTIONS", "/a/7", ORIGIN, ("Access-Control-Request-Method", "GET"), cors=CORS)
    assert isinstance(verdict, Reply) and verdict.outcome is Outcome.PREFLIGHT
    assert scene.call.plan is scene.plan and scene.call.params == {"x": "7"}, (
        "the record hides what the route calls secret"
    )


def test_an_options_request_that_is_no_preflight_is_a_request() -> None:
    assert routed("OPTIONS", "/a/7", ORIGIN, cors=CORS)[1].status == 405
    scene, verdict = routed("OPTIONS", "/a/7", ORIGIN, rule=Rule(None, "/a/{x}", ()), cors=CORS)
    assert verdict is None and scene.call.origin == "https://a.example"


@pytest.mark.parametrize(
    ("target", "held", "asked"),
    [("/updates", True, None), ("/updates?timeout=10", True, 10.0), ("/updates?timeout=0", False, None)],
)
def test_a_wish_makes_a_call_a_poll(target: str, held: bool, asked: float | None) -> None:
    scene = Scene("template", head=head_of(target), hold=hold_plan())
    admission.route(scene.call, scene.head, scene.snapshot)
    assert admission.wish(scene.call, scene.head, hold_plan()) is None
    assert (scene.call.hold is not None, scene.call.asked) == (held, asked)


def test_a_wish_beyond_the_maximum_is_refused_where_the_dialect_says_so() -> None:
    head = head_of("/updates?timeout=600")
    scene = Scene(head=head, hold=hold_plan(over_max="reject")).open()
    assert (scene.call.outcome, scene.call.status) == (Outcome.BAD_REQUEST, 400)


def limited(
    limits: list[tuple[str, float]], not_after: float | None = None, **changes: Any
) -> tuple[Scene, str | None]:
    scene = Scene("template", head=make_head("GET", "/updates"), hold=replace(POLLS["template"], **changes))
    scene.call.plan, scene.call.hold = scene.plan, scene.plan.hold
    if not_after is not None:
        scene.call.identity = Identity("p", "a", not_after=not_after)
    return scene, admission.limit(scene.call, scene.plan, limits, 0.0, WALL)


@pytest.mark.parametrize(
    ("limits", "not_after", "deadline", "clamped", "cause"),
    [
        ([], None, 30.0, None, None),
        ([("front", 20.0)], None, 20.0, "front", None),
        ([("front", 20.0), ("drain", 10.0)], None, 10.0, "drain", None),
        ([("front", 20.0)], WALL + 15.0, 15.0, "token", None),
        ([("drain", 5.0)], None, 5.0, "drain", "drain"),
        ([("drain", 2.0)], WALL + 1.0, 1.0, "token", "token"),
        ([], WALL - 60.0, -60.0, "token", "token"),
        ([("front", 60.0)], WALL + 3600.0, 30.0, None, None),
    ],
)
def test_the_earliest_limit_decides(
    limits: list[tuple[str, float]], not_after: float | None, deadline: float, clamped: str | None, cause: str | None
) -> None:
    scene, found = limited(limits, not_after)
    assert (scene.call.deadline, scene.call.clamped_by, found) == (deadline, clamped, cause)
    assert scene.call.blank == BLANK and scene.call.granted is not None and scene.call.granted >= 0


def test_a_template_that_lacks_what_it_needs_gives_no_blank() -> None:
    scene, _ = limited([], template=replace(TEMPLATE, needs=lambda head: False))
    assert scene.call.blank is None


@pytest.mark.parametrize(
    ("cause", "blank", "outcome", "close"),
    [("token", True, Outcome.UNAUTHENTICATED, False), ("token", False, Outcome.UNAUTHENTICATED, False), ("drain",
     True, Outcome.DRAINED, True),
     ("drain", False, Outcome.DRAINED, True), ("front", True, Outcome.BLANK, False), ("front", False,
     Outcome.UPSTREAM_TIMEOUT, False)],
)  # fmt: skip
def test_a_hold_too_short_to_be_sent_is_answered_by_its_cause(
    cause: str, blank: bool, outcome: Outcome, close: bool
) -> None:
    scene, _ = limited([])
    scene.call.blank = BLANK if blank else None
    verdict = admission.no_hold(scene.call, cause, refusals.DRAINING, failure.TIMEOUT)
    assert verdict is not None and (verdict.outcome, verdict.close) == (outcome, close)

"""A wish stated at two places of one request that differ: the first counts, and no upstream goes by the other."""

from __future__ import annotations

import pytest

from gateway.head import Known
from gateway.holds import ask
from gateway.holds.plan import UNBOUNDED, AskPlace
from gateway.holds.predicate import compile_when
from gateway.holds.rewrite import captures
from tests.kit.heads import FORM, XML, head, posted
from tests.kit.holds import hold_plan

AS_FORM = AskPlace("form", "wait", "s")
AS_JSON = AskPlace("json", "/wait", "ms")
AS_QUERY = AskPlace("query", "wait", "s")
AS_XML = AskPlace("xml", "@wait", "s")
HEADER = AskPlace("header", "X-Wait", "ms")


def plan_of(*places, **changes):
    return hold_plan(ask=places, body_limit=65_536, head_when=compile_when([]), **changes)


@pytest.mark.parametrize(
    ("places", "request_", "written"),
    [
        ((AS_QUERY, AS_FORM), posted("/u?wait=5", "a=1&wait=900", FORM), ("wait=5", None, b"a=1&wait=5")),
        ((AS_FORM, AS_QUERY), posted("/u?wait=900", "wait=5", FORM), ("wait=5", None, b"wait=5")),
        ((AS_QUERY, AS_JSON), posted("/u?wait=5", '{"wait":900000}'), ("wait=5", None, b'{"wait":5000}')),
        ((AS_QUERY, AS_JSON), posted("/u?wait=5", '{"wait":"abc"}'), ("wait=5", None, b'{"wait":"5000"}')),
        (
            (AS_QUERY, AskPlace("query", "hold"), HEADER),
            posted("/u?wait=5&hold=900", "", headers={"X-Wait": "7"}),
            ("wait=5&hold=5", (b"X-Wait", b"5000"), None),
        ),
    ],
)
def test_a_wish_that_another_place_contradicts_is_written_over_at_both(places, request_, written):
    plan = plan_of(*places)
    assert ask.read(plan, request_) == ask.Ask(True, True, 5.0, UNBOUNDED, None, ask.REPEATED)
    assert ask.write(plan, request_, 5.0) == ask.Rewrite(*written)


@pytest.mark.parametrize("value", ["5", "5.0", "+5"])
def test_a_wish_that_another_place_repeats_is_left_alone(value):
    plan, request = plan_of(AS_QUERY, AS_FORM), posted("/u?wait=5", f"wait={value}", FORM)
    assert ask.read(plan, request) == ask.Ask(True, True, 5.0, 5.0)
    assert ask.write(plan, request, 5.0) == ask.Rewrite("wait=5")


@pytest.mark.parametrize(
    ("places", "request_"),
    [
        ((AS_QUERY, AS_JSON), posted("/u?wait=5", '{"wait":900}', headers={"Content-Digest": "sha-256=:x:"})),
        ((AS_QUERY, AS_XML), posted("/u?wait=5", "<body wait='900'/>", XML)),
        ((AskPlace("json", "/a"), AskPlace("json", "/b")), posted("/u", '{"a":5,"b":900}')),
    ],
)
def test_a_contradiction_that_cannot_be_written_over_leaves_the_upstream_without_an_end_that_is_known(places, request_):
    wish = ask.read(plan_of(*places), request_)
    assert (wish.seconds, wish.told, wish.note) == (5.0, UNBOUNDED, ask.REPEATED)
    assert wish.plan is not None
    assert not wish.plan.rewrite


def test_a_session_states_nothing_in_the_request_that_another_place_could_contradict():
    request = head("GET", "/u?wait=5")
    request.known = Known(25.0)
    wish = ask.read(plan_of(AS_QUERY, AskPlace("session", "json:/pingInterval", "ms")), request)
    assert (wish.seconds, wish.told, wish.note) == (5.0, 5.0, None)


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("/a/{x}/**", "/a/1/b/c", {"x": "1", "**": "b/c"}),
        ("/bot{token}/go", "/bot12:ab/go", {"token": "12:ab"}),
        ("/a/v{x}.json", "/a/v7.json", {"x": "7"}),
        ("/a/b", "/a/b", {}),
    ],
)
def test_what_a_path_captures_is_read_again_once_a_wait_was_written_into_it(template, path, found):
    assert captures(template, path) == found

"""Wishes in bodies, in paths and in what a session agreed on: read, judged and written anew."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER
from gateway.head import Known
from gateway.holds import ask, budget, content, units
from gateway.holds.plan import UNBOUNDED, AskPlace
from gateway.holds.predicate import compile_when
from tests.kit.heads import FORM, JSON, XML, head, posted
from tests.kit.holds import hold_plan

NOW = 1000.0
AS_FORM = AskPlace("form", "wait", "s")
AS_JSON = AskPlace("json", "/wait", "ms")
IN_ARRAY = AskPlace("json", "/0/advice/wait", "ms")
IN_PATH = AskPlace("path", "wait", "s", "/poll/{wait}/x")
AS_QUERY = AskPlace("query", "wait", "s")
ISO = AskPlace("json", "/wait", "iso")
AGREED = AskPlace("session", "json:/pingInterval", "ms")
AS_XML = AskPlace("xml", "@wait", "s")


def plan_of(*places, **changes):
    return hold_plan(ask=places, body_limit=65_536, head_when=compile_when([]), **changes)


def on_path(wait):
    request = head("GET", f"/poll/{wait}/x?a=1")
    request.params = {"wait": wait}
    return request


@pytest.mark.parametrize(
    ("places", "request_", "seconds"),
    [
        ((AS_FORM,), posted("/u", "a=1&wait=10", FORM), 10.0),
        ((AS_FORM,), posted("/u", "w%61it=1%30", FORM), 10.0),
        ((AS_JSON,), posted("/u", '{"wait":10000}'), 10.0),
        ((AS_JSON,), posted("/u", '{"wait":"10000"}'), 10.0),
        ((AS_JSON,), posted("/u", '{"wait":1e4}'), 10.0),
        ((AS_JSON,), posted("/u", '{"wait":1500.5}'), 1.5005),
        ((ISO,), posted("/u", '{"wait":"PT1M30S"}'), 90.0),
        ((IN_ARRAY,), posted("/u", '[{"advice":{"wait":10000}}]'), 10.0),
        ((AS_XML,), posted("/u", "<body wait='10'/>", XML), 10.0),
        ((IN_PATH,), on_path("10"), 10.0),
        ((AS_QUERY, AS_FORM, AS_JSON), posted("/u", '{"wait":10000}'), 10.0),
        ((AS_QUERY, AS_FORM, AS_JSON), posted("/u", "wait=10", FORM), 10.0),
        ((AS_FORM, AS_QUERY), posted("/u?wait=10", "wait=10", FORM), 10.0),
    ],
)
def test_a_wish_is_read_wherever_the_dialect_says(places, request_, seconds):
    assert ask.read(plan_of(*places, rewrite=False), request_) == ask.Ask(True, True, seconds, seconds)


@pytest.mark.parametrize("value", ["true", "[]", "{}", "[5000]", '"abc"', '""', '"NaN"', '"1e9"', "1e300", "9" * 300])
def test_a_json_value_that_is_no_wait_counts_as_none_with_a_note(value):
    wish = ask.read(plan_of(AS_JSON), posted("/u", f'{{"wait":{value}}}'))
    assert (wish.held, wish.seconds, wish.told, wish.note) == (True, None, UNBOUNDED, ask.MALFORMED)


def test_a_json_null_states_nothing():
    assert ask.read(plan_of(AS_JSON), posted("/u", '{"wait":null}')) == ask.Ask(True, True, None, 25.0)


@pytest.mark.parametrize(
    ("value", "changes", "held"),
    [
        ("0", {}, False),
        ("-0.0", {}, False),
        ("0", {"zero": "default"}, True),
        ("-1", {}, False),
        ("-1", {"negative": "default"}, True),
        ("-1", {"zero": "default"}, False),
    ],
)
def test_zero_and_negative_json_numbers_mean_what_the_dialect_declares(value, changes, held):
    wish = ask.read(plan_of(AS_JSON, **changes), posted("/u", f'{{"wait":{value}}}'))
    assert (wish.poll, wish.held, wish.seconds) == (True, held, None)


@pytest.mark.parametrize(
    ("place", "body", "media"),
    [
        (AS_FORM, "wait=5&wait=600", FORM),
        (AS_JSON, '{"wait":5000,"wait":600000}', JSON),
        (AS_JSON, '{"wait":5000,"w\\u0061it":600000}', JSON),
        (IN_ARRAY, '[{"advice":{"wait":5000},"advice":{"wait":"abc"}}]', JSON),
    ],
)
def test_of_a_wish_that_is_given_twice_the_first_counts_and_both_are_written_over(place, body, media):
    plan, request = plan_of(place), posted("/u", body, media)
    assert ask.read(plan, request) == ask.Ask(True, True, 5.0, UNBOUNDED, None, ask.REPEATED)
    written = ask.write(plan, request, 5.0).body
    again = ask.read(plan, posted("/u", written, media))
    assert (again.seconds, again.note) == (5.0, None)


@pytest.mark.parametrize(
    ("body", "media"),
    [
        ('{"wait":10000', JSON),
        ('{"wait":NaN}', JSON),
        ('{"wait":' + "9" * 10_000 + "}", JSON),
        ("[" * 5000, JSON),
        ('{"a":"\\ud800","wait":10000}', JSON),
        (b"\xff\xfe", JSON),
        ("<body wait='10'>", XML),
        ("wait=10&" * 1001, FORM),
        ("<!DOCTYPE b [<!ENTITY e 'x'>]><b wait='&e;'/>", XML),
    ],
)
def test_a_body_that_is_not_what_it_claims_makes_an_ordinary_call_with_a_note(body, media):
    plan = plan_of(AS_JSON, AS_XML, AS_FORM, AS_QUERY)
    assert ask.read(plan, posted("/u?wait=10", body, media)) == ask.Ask(False, False, note=content.MALFORMED)


@pytest.mark.parametrize("encoded", [True, False])
def test_a_body_that_could_not_be_read_whole_makes_an_ordinary_call_with_a_note(encoded):
    request = posted("/u", '{"wait":10000}', headers={"Content-Encoding": "gzip"} if encoded else {})
    if not encoded:
        request.content = None
    assert ask.read(plan_of(AS_JSON), request) == ask.Ask(False, False, note=content.TOO_LONG)


def test_what_is_malformed_is_never_rewritten():
    for place, body, media in ((AS_FORM, "a=1&" * 1001, FORM), (AS_JSON, '{"wait":', JSON)):
        assert ask.write(plan_of(place), posted("/u", body, media), 5.0) == ask.Rewrite("")


def test_a_body_nobody_had_to_read_changes_nothing():
    request = posted("/u?wait=10", "x" * 9)
    request.content = None
    assert ask.read(hold_plan(ask=(AS_QUERY,)), request).seconds == 10.0
    gets_only = hold_plan(ask=(AS_QUERY, AS_JSON), body_limit=9, head_when=compile_when(["method == GET"]))
    assert ask.read(gets_only, request).seconds == 10.0


@pytest.mark.parametrize(
    ("places", "request_", "seconds", "rewrite"),
    [
        ((AS_FORM,), posted("/u?q", "a=%20&wait=90&b", FORM), 60.0, ("q", None, b"a=%20&wait=60&b")),
        ((AS_FORM,), posted("/u", b"a=\xff&wait=90", FORM), 60.0, ("", None, b"a=\xff&wait=60")),
        ((AS_FORM,), posted("/u", "a=1", FORM), 20.0, ("", None, b"a=1&wait=20")),
        ((AS_FORM,), posted("/u", "", FORM), 20.0, ("", None, b"wait=20")),
        ((AS_FORM,), posted("/u", "a=1", FORM), 25.0, ("",)),
        ((AS_FORM,), posted("/u", "wait=20", FORM), 20.0, ("",)),
        ((AskPlace("form", "a&b", "s"),), posted("/u", "a%26b=90", FORM), 60.0, ("", None, b"a%26b=60")),
        ((AS_JSON,), posted("/u", '{"wait": 90000, "f":1.0}'), 60.0, ("", None, b'{"wait": 60000, "f":1.0}')),
        ((AS_JSON,), posted("/u", '{"wait":"90000"}'), 60.0, ("", None, b'{"wait":"60000"}')),
        ((AS_JSON,), posted("/u", '{"wait":"abc"}'), 25.0, ("", None, b'{"wait":"25000"}')),
        ((AS_JSON,), posted("/u", '{"wait":true}'), 25.0, ("", None, b'{"wait":25000}')),
        ((AS_JSON,), posted("/u", '{"wait":null}'), 20.0, ("", None, b'{"wait":20000}')),
        ((AS_JSON,), posted("/u", "{}"), 20.0, ("", None, b'{"wait":20000}')),
        ((ISO,), posted("/u", "{}"), 20.0, ("", None, b'{"wait":"PT20S"}')),
        ((IN_ARRAY,), posted("/u", '[{"advice":{}}]'), 20.0, ("", None, b'[{"advice":{"wait":20000}}]')),
        ((IN_ARRAY, AS_QUERY), posted("/u", '[{"a":1}]'), 20.0, ("wait=20",)),
        ((AS_JSON, AS_QUERY), head("GET", "/u"), 20.0, ("wait=20",)),
        ((AS_JSON, AS_FORM), posted("/u", "a=1", FORM), 20.0, ("", None, b"a=1&wait=20")),
        ((AS_JSON,), posted("/u", "[1]"), 20.0, ("",)),
        ((IN_PATH,), on_path("90"), 60.0, ("a=1", None, None, "/poll/60/x")),
        ((IN_PATH,), on_path("abc"), 25.0, ("a=1", None, None, "/poll/25/x")),
        ((AskPlace("path", "wait", "s", "/w{wait}s"),), on_path("90"), 60.0, ("a=1", None, None, "/w60s/90/x")),
        ((AS_XML,), posted("/u", "<b wait='90'/>", XML), 60.0, ("",)),
    ],
)
def test_a_wish_is_written_where_it_was_found_and_only_if_it_changes(places, request_, seconds, rewrite):
    assert ask.write(plan_of(*places), request_, seconds) == ask.Rewrite(*rewrite)


def granted(plan, request):
    wish = ask.read(plan, request)
    own = wish.plan or plan
    return wish, budget.grant(NOW, wish.seconds, own, (), wish.told), own


@pytest.mark.parametrize(
    ("places", "request_", "due"),
    [
        ((AS_QUERY,), head("GET", "/u?wait=90", {"Signature-Input": "sig1=()"}), 90.0),
        ((AS_JSON,), posted("/u", '{"wait":90000}', headers={"Authorization": "AWS4-HMAC-SHA256 x"}), 90.0),
        ((AS_JSON,), posted("/u", '{"wait":90000}', headers={"Content-Digest": "sha-256=:x:"}), 90.0),
        ((AS_XML, AS_QUERY), posted("/u", "<b wait='90'/>", XML), 90.0),
        ((AskPlace("path", "wait"),), on_path("90"), 90.0),
        ((AS_JSON,), head("GET", "/u"), 25.0),
        ((AS_JSON, AS_FORM), posted("/u", "[1]"), 25.0),
        ((AS_FORM,), posted("/u", "a=1", FORM, {"Digest": "md5=x"}), 25.0),
    ],
)
def test_where_nothing_can_be_written_the_upstream_is_due_by_what_the_client_said(places, request_, due):
    plan = plan_of(*places, signed=compile_when(["header:Authorization matches ^AWS4"]))
    wish, grant, own = granted(plan, request_)
    assert wish.held
    assert (grant.rewrite, grant.upstream_due, grant.hold) == (False, NOW + due, min(due, 60.0))
    assert ask.write(own, request_, 5.0) == ask.Rewrite(request_.query)
    assert (own.when, own.dialect, own.template) == (plan.when, plan.dialect, plan.template)


def test_a_digest_of_the_body_forbids_nothing_in_the_query():
    request = posted("/u?wait=90", "{}", headers={"Content-Digest": "sha-256=:x:"})
    _, grant, own = granted(plan_of(AS_JSON, AS_QUERY), request)
    assert (grant.rewrite, ask.write(own, request, grant.hold).query) == (True, "wait=60")


def test_a_poll_without_an_end_of_its_own_is_held_for_the_longest_time_there_is():
    plan = plan_of(AS_QUERY, unbounded=compile_when(["query:heartbeat present"]), over_max="reject")
    wish, grant, own = granted(plan, head("GET", "/u?wait=90&heartbeat=5"))
    assert (wish.held, wish.seconds, wish.told, wish.refused, wish.note) == (True, None, UNBOUNDED, None, ask.ENDLESS)
    assert (grant.hold, grant.upstream_due, grant.rewrite) == (budget.LONGEST, NEVER, False)
    assert ask.write(own, head("GET", "/u?wait=90&heartbeat=5"), 5.0) == ask.Rewrite("wait=90&heartbeat=5")
    assert granted(plan, head("GET", "/u?wait=9"))[1].hold == 9.0


def test_what_is_no_poll_has_no_end_to_lack():
    plan = plan_of(AS_QUERY, when=compile_when(["query:a present"]), unbounded=compile_when([]))
    assert ask.read(plan, head("GET", "/u")) == ask.NOT_A_POLL


@pytest.mark.parametrize(
    ("known", "seconds", "told"),
    [(None, None, 25.0), (Known(), None, 25.0), (Known(40.0), 40.0, 40.0), (Known(1e30), 1e30, 1e30)],
)
def test_what_a_session_agreed_on_is_what_its_polls_ask_for(known, seconds, told):
    request = head("GET", "/u")
    request.known = known
    wish, grant, _ = granted(plan_of(AGREED, rewrite=True), request)
    assert (wish.held, wish.seconds, wish.told) == (True, seconds, told)
    assert (grant.rewrite, grant.hold) == (False, min(told, 60.0))


def test_a_session_that_agreed_on_no_hold_has_ordinary_calls():
    request = head("GET", "/u")
    request.known = Known(0.0)
    assert ask.read(plan_of(AGREED), request) == ask.Ask(True, False)


WAITS = st.one_of(
    st.integers(-(10**40), 10**40), st.floats(), st.text(max_size=12), st.none(), st.booleans(),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@given(WAITS, st.sampled_from([AS_JSON, ISO]), st.floats(1, 1e4), st.sampled_from(["none", "default"]))
def test_whatever_stands_in_json_the_hold_ends_and_what_is_written_is_what_is_read(value, place, seconds, zero):
    try:
        raw = orjson.dumps({"a": 1.10, "wait": value})
    except orjson.JSONEncodeError:
        return
    plan, request = plan_of(place, max=1e5, zero=zero), posted("/u", raw)
    wish, grant, _ = granted(plan, request)
    assert not wish.held or math.isfinite(grant.deadline)
    written = ask.write(plan, request, seconds)
    told = ask.read(plan, posted("/u", written.body or raw))
    if written.body is not None:
        assert orjson.loads(written.body)["a"] == 1.1
        assert seconds - units.SMALLEST[place.unit] - 1e-5 <= (told.seconds or 0.0) <= seconds + 1e-5


@given(st.binary(max_size=80), st.sampled_from([JSON, FORM, XML, "", "text/plain"]))
def test_any_body_can_be_read_and_written_over(body, media):
    request = posted("/u", body, media)
    plan = plan_of(AS_FORM, AS_JSON, AS_XML, IN_ARRAY, AGREED)
    wish, grant, own = granted(plan, request)
    assert wish.poll or wish.note in (content.MALFORMED, content.TOO_LONG)
    assert math.isfinite(grant.deadline)
    assert ask.write(own, request, 7.0).query == ""


def test_only_places_that_can_be_written_decide_how_short_a_hold_can_be_told():
    fast, coarse = AskPlace("query", "wait", "ms"), AskPlace("session", "json:/wait", "s")
    limits = [("drain", NOW + 5.6)]  # leaves 0.6 s
    assert budget.grant(NOW, 10.0, plan_of(fast, coarse, min=0.0), limits).answer_now is None
    assert budget.grant(NOW, 10.0, plan_of(fast, AS_QUERY, min=0.0), limits).answer_now == "drain"


@pytest.mark.parametrize(("places", "writable"), [((), False), ((AS_XML, AGREED), False), ((AS_XML, AS_JSON), True)])
def test_a_dialect_can_tell_the_upstream_only_where_a_wish_can_be_written(places, writable):
    assert plan_of(*places).writable is writable
    assert not plan_of(*places, rewrite=False).writable

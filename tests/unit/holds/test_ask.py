"""The wish: read, judged and written anew."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds import ask, units
from gateway.holds.plan import UNBOUNDED, AskPlace
from gateway.holds.predicate import compile_when
from tests.kit.heads import head
from tests.kit.holds import hold_plan

QUERY = (AskPlace("query", "timeout", "s"),)
MILLIS = (AskPlace("query", "timeout", "ms"),)
WAIT = (AskPlace("query", "wait", "duration"),)
HEADER = (AskPlace("header", "Long-Pulling-Timeout", "ms"),)
PREFER = (AskPlace("header-item", "Prefer/wait", "s"),)
EITHER = (*QUERY, *PREFER)
TWICE = [("Long-Pulling-Timeout", "10000"), ("long-pulling-timeout", "20000")]


def get(target, headers=()):
    return head("GET", target, headers)


def test_a_request_outside_when_is_no_poll():
    plan = hold_plan(when=compile_when(["query:since present"]))
    assert ask.read(plan, get("/u?timeout=10")) == ask.NOT_A_POLL
    assert ask.read(plan, get("/u?timeout=10&since=1")).held


@pytest.mark.parametrize(
    ("places", "target", "headers", "seconds"),
    [
        (QUERY, "/u?timeout=10", {}, 10.0),
        (QUERY, "/u?timeout=2.5", {}, 2.5),
        (QUERY, "/u?%74imeout=1%30", {}, 10.0),
        (QUERY, "/u?timeout=+7", {}, 7.0),
        (MILLIS, "/u?timeout=30000", {}, 30.0),
        (WAIT, "/u?wait=1m30s", {}, 90.0),
        (HEADER, "/u", {"long-pulling-timeout": "30000"}, 30.0),
        (PREFER, "/u", {"Prefer": "respond-async, Wait=10; x=y"}, 10.0),
        (PREFER, "/u", [("Prefer", "respond-async"), ("Prefer", 'wait="10"')], 10.0),
        (EITHER, "/u", {"Prefer": "wait=3"}, 3.0),
        (EITHER, "/u?timeout=5", {"Prefer": "wait=5"}, 5.0),
        (QUERY, "/u?timeout=1000000", {}, 1e6),
    ],
)
def test_a_stated_wish_is_read_from_the_first_place_that_has_it(places, target, headers, seconds):
    plan = hold_plan(ask=places)
    assert ask.read(plan, get(target, headers)) == ask.Ask(True, True, seconds, seconds)


@pytest.mark.parametrize(
    "text", ["abc", "", "NaN", "inf", "-inf", "1e3", "10s", "0x10", "٣", "5;", "9" * 10_000, "%00", "1 0", "5%2B"]
)
@pytest.mark.parametrize(("absent", "held"), [(25.0, True), (None, False), (UNBOUNDED, True)])
def test_a_malformed_wish_counts_as_none_with_a_note(text, absent, held):
    wish = ask.read(hold_plan(absent=absent), get(f"/u?timeout={text}"))
    assert wish == ask.Ask(True, held, None, UNBOUNDED, None, ask.MALFORMED)


def test_a_duration_without_a_unit_is_malformed():
    assert ask.read(hold_plan(ask=WAIT), get("/u?wait=5")).note == ask.MALFORMED


@pytest.mark.parametrize(
    ("absent", "wish"),
    [
        (None, ask.Ask(True, False)),
        (25.0, ask.Ask(True, True, None, 25.0)),
        (UNBOUNDED, ask.Ask(True, True, None, UNBOUNDED, None, ask.ENDLESS)),
    ],
)
@pytest.mark.parametrize("places", [QUERY, HEADER, PREFER, ()])
def test_without_a_wish_the_dialect_says_what_is_meant(places, absent, wish):
    assert ask.read(hold_plan(ask=places, absent=absent), get("/u", {"Prefer": "respond-async"})) == wish


@pytest.mark.parametrize(
    ("text", "changes", "wish"),
    [
        ("0", {"zero": "none"}, ask.Ask(True, False)),
        ("-0", {"zero": "none", "negative": "default"}, ask.Ask(True, False)),
        ("0.0", {"zero": "default"}, ask.Ask(True, True, None, 25.0)),
        ("0", {"zero": "default", "absent": None}, ask.Ask(True, False)),
        ("-5", {"negative": "none"}, ask.Ask(True, False)),
        ("-5", {"negative": "default"}, ask.Ask(True, True, None, 25.0)),
    ],
)
def test_zero_and_negative_wishes_mean_what_the_dialect_declares(text, changes, wish):
    assert ask.read(hold_plan(**changes), get(f"/u?timeout={text}")) == wish


@pytest.mark.parametrize(
    ("places", "target", "headers", "note"),
    [
        (QUERY, "/u?timeout=5&timeout=5", (), None),
        (QUERY, "/u?timeout=5&timeout=600", (), ask.REPEATED),
        (QUERY, "/u?timeout=5&timeout=abc", (), ask.REPEATED),
        (HEADER, "/u", TWICE, ask.REPEATED),
        (PREFER, "/u", {"Prefer": "wait=5, wait=6"}, ask.REPEATED),
    ],
)
def test_of_a_repeated_wish_the_first_counts_and_a_difference_is_noted(places, target, headers, note):
    wish = ask.read(hold_plan(ask=places), get(target, headers))
    assert wish.seconds in (5.0, 10.0)
    assert wish.note == note
    assert wish.told == (UNBOUNDED if note else wish.seconds)


@pytest.mark.parametrize(("over_max", "refused"), [("reject", ask.OVER_MAX), ("clamp", None), ("pass", None)])
def test_only_reject_refuses_a_wish_above_the_maximum(over_max, refused):
    plan = hold_plan(over_max=over_max)
    assert ask.read(plan, get("/u?timeout=61")).refused == refused
    assert ask.read(plan, get("/u?timeout=60")).refused is None


@pytest.mark.parametrize(
    ("places", "target", "headers", "seconds", "rewrite"),
    [
        (QUERY, "/u?a=1&timeout=90&b", {}, 60.0, ("a=1&timeout=60&b", None)),
        (QUERY, "/u?timeout=90", {}, 12.9, ("timeout=12", None)),
        (QUERY, "/u?timeout=10&x=%20", {}, 10.0, ("timeout=10&x=%20", None)),
        (QUERY, "/u?timeout=10.0", {}, 10.0, ("timeout=10.0", None)),
        (QUERY, "/u?timeout=5&timeout=600", {}, 5.0, ("timeout=5", None)),
        (QUERY, "/u?timeout=0.5&timeout=600", {}, 0.5, ("timeout=0.5", None)),
        (QUERY, "/u?timeout=%2B5&timeout=6", {}, 5.0, ("timeout=5", None)),
        (QUERY, "/u?%74imeout=90", {}, 60.0, ("timeout=60", None)),
        (QUERY, "/u?timeout=abc", {}, 25.0, ("timeout=25", None)),
        (QUERY, "/u?x=1", {}, 25.0, ("x=1", None)),
        (QUERY, "/u?x=1", {}, 20.0, ("x=1&timeout=20", None)),
        (QUERY, "/u", {}, 20.0, ("timeout=20", None)),
        (MILLIS, "/u?timeout=90000", {}, 12.3456, ("timeout=12345", None)),
        (WAIT, "/u?wait=5m", {}, 60.0, ("wait=60s", None)),
        (WAIT, "/u?wait=5m", {}, 1.5, ("wait=1500ms", None)),
        (HEADER, "/u?a", {"long-pulling-timeout": "90000"}, 60.0, ("a", (b"Long-Pulling-Timeout", b"60000"))),
        (HEADER, "/u", TWICE, 10.0, ("", (b"Long-Pulling-Timeout", b"10000"))),
        (PREFER, "/u", {"Prefer": "a; b=c, WAIT=90; x=y"}, 60.0, ("", (b"Prefer", b"a; b=c, WAIT=60; x=y"))),
        (PREFER, "/u", [("Prefer", 'n="a, wait=1"'), ("Prefer", "wait=90, z")], 60.0,
         ("", (b"Prefer", b'n="a, wait=1", wait=60, z'))),
        (PREFER, "/u", {"Prefer": "wait=90, wait=80"}, 60.0, ("", (b"Prefer", b"wait=60"))),
        (PREFER, "/u", {"Prefer": 'wait="90"'}, 60.0, ("", (b"Prefer", b"wait=60"))),
        (PREFER, "/u", {"Prefer": "é\udcff, wait=90"}, 60.0, ("", (b"Prefer", b"\xc3\xa9\xff, wait=60"))),
        (PREFER, "/u", {"Prefer": "async"}, 20.0, ("", (b"Prefer", b"async, wait=20"))),
        (PREFER, "/u", {}, 20.0, ("", (b"Prefer", b"wait=20"))),
        (EITHER, "/u", {"Prefer": "wait=90"}, 20.0, ("", (b"Prefer", b"wait=20"))),
    ],
)  # fmt: skip
def test_a_wish_is_written_where_it_was_found_and_only_if_it_changes(places, target, headers, seconds, rewrite):
    assert ask.write(hold_plan(ask=places), get(target, headers), seconds) == ask.Rewrite(*rewrite)


def test_nothing_is_written_where_the_dialect_forbids_it():
    assert ask.write(hold_plan(rewrite=False), get("/u?timeout=90"), 5.0) == ask.Rewrite("timeout=90")
    assert ask.write(hold_plan(ask=()), get("/u?timeout=90"), 5.0) == ask.Rewrite("timeout=90")


def test_rounding_never_writes_a_zero_that_means_the_upstreams_default():
    assert ask.write(hold_plan(zero="default"), get("/u?timeout=9"), 0.7).query == "timeout=1"
    assert ask.write(hold_plan(zero="none"), get("/u?timeout=9"), 0.7).query == "timeout=0"


def test_a_zero_that_means_the_default_is_left_alone_when_the_default_is_granted():
    plan = hold_plan(zero="default")
    assert ask.write(plan, get("/u?timeout=0"), 25.0).query == "timeout=0"
    assert ask.write(plan, get("/u?timeout=0"), 20.0).query == "timeout=20"


@given(
    st.sampled_from([QUERY, MILLIS, PREFER]),
    st.floats(1, 1e6),
    st.one_of(st.integers(1, 10**9).map(str), st.text(max_size=20), st.none()),
)
def test_what_was_written_is_what_the_upstream_reads_never_more(places, seconds, text):
    plan = hold_plan(ask=places, max=1e7, absent=None)
    request = get("/u")
    if text is not None and places is PREFER:
        request = get("/u", {"Prefer": f"a, wait={text}"})
    elif text is not None:
        request = get(f"/u?timeout={quote_plus(text)}")
    query, header, *_ = ask.write(plan, request, seconds)
    forwarded = get(f"/u?{query}", {header[0].decode(): header[1].decode()} if header else dict(request.headers))
    told = ask.read(plan, forwarded)
    step = units.SMALLEST[places[0].unit]
    assert told.seconds is not None
    assert seconds - step - 1e-5 <= told.seconds <= seconds + 1e-5


@given(st.text(max_size=60), st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_any_query_and_header_can_be_read_and_written_over(query, prefer):
    request = get(f"/u?{query}", {"Prefer": prefer})
    wish = ask.read(hold_plan(ask=EITHER), request)
    assert wish.poll
    assert wish.seconds is None or 0 < wish.seconds < 1e36
    assert ask.write(hold_plan(ask=EITHER), request, 7.0) is not None

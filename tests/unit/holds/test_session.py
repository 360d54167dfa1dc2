"""What the answer that begins a session says about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.plan import AskPlace
from gateway.holds.session import compile_answer_place, compile_session
from tests.kit.heads import head, response

OPENED = b'0{"sid":"abc","pingInterval":25000,"maxPayload":1e6}'
BOSH = b"<body sid='s1' wait='60' xmlns='http://jabber.org/protocol/httpbind'><x wait='1'/></body>"


def session(*asks, id="json:/sid", skip="^0", key="query:sid"):  # noqa: A002 - as the policy calls it
    places = [AskPlace("query", "timeout", "s"), *(AskPlace("session", name, unit) for name, unit in asks)]
    return compile_session(key, ["query:sid absent"], id, skip, 60.0, places)


def test_a_handshake_names_the_session_and_says_its_hold():
    plan = session(("json:/pingInterval", "ms"))
    assert plan.id(response(200), OPENED) == "abc"
    assert plan.hold(response(200), OPENED) == 25.0
    assert plan.when(head("GET", "/u"))
    assert plan.key(head("GET", "/u?sid=abc")) == "abc"
    assert plan.keep == 60.0


def test_an_xml_answer_is_read_at_the_attributes_of_its_root():
    plan = session(("xml:@wait", "s"), id="xml:@sid", skip="", key="xml:@sid")
    assert (plan.id(response(200), BOSH), plan.hold(response(200), BOSH)) == ("s1", 60.0)


def test_a_header_of_the_answer_may_say_it_too():
    plan = session(("header:X-Hold", "duration"), id="header:X-Session")
    answer = response(200, {"x-session": "s1", "x-hold": "1m30s"})
    assert (plan.id(answer, b""), plan.hold(answer, b"")) == ("s1", 90.0)


def test_the_first_place_that_has_a_hold_counts():
    plan = session(("json:/0/advice/timeout", "ms"), ("json:/pingInterval", "ms"))
    assert plan.hold(response(200), OPENED) == 25.0
    plan = session(("json:/maxPayload", "s"), ("json:/pingInterval", "ms"))
    for unreadable in (b'""', b'"soon"', b"true"):
        assert plan.hold(response(200), OPENED.replace(b"1e6", unreadable)) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"0", b"0{", b"1" + OPENED[1:] * 2, b'0{"pingInterval":true}', b'0{"pingInterval":[]}', b"\xff", b"[]"],
)
def test_an_answer_that_says_nothing_of_the_kind_teaches_nothing(body):
    plan = session(("json:/pingInterval", "ms"))
    assert (plan.id(response(200), body), plan.hold(response(200), body)) == (None, None)


@pytest.mark.parametrize("behind", [b"2:40", b"\x1e40", b"{", b"\xc3\xa4"])
def test_what_comes_behind_the_first_value_of_a_framed_answer_does_not_hide_it(behind):
    plan = session(("json:/pingInterval", "ms"), skip=r"(\d+:)?0")
    body = b"51:" + OPENED + behind
    assert (plan.id(response(200), body), plan.hold(response(200), body)) == ("abc", 25.0)


def test_an_encoded_answer_teaches_nothing():
    plan = session(("json:/pingInterval", "ms"))
    assert plan.id(response(200, {"Content-Encoding": "gzip"}), OPENED) is None


def test_an_answer_without_what_is_skipped_is_read_from_its_beginning():
    assert session().id(response(200), OPENED[1:]) == "abc"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "consumer"}, "names no session; write where polls do"),
        ({"key": "quary:sid"}, "did you mean `query`"),
        ({"id": "query:sid"}, "is not a place in an answer"),
        ({"id": "xml:sid"}, "is not a place in an answer"),
        ({"id": "json:sid"}, "write json:/sid"),
        ({"skip": "("}, "is not a regular expression"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(changes, says):
    with pytest.raises(ValueError, match=says):
        session(**changes)


@given(st.binary(max_size=60), st.sampled_from(["json:/a", "xml:@a", "header:A"]), st.sampled_from(["", "^0", ".*?{"]))
def test_any_answer_can_be_read(body, place, skip):
    value = compile_answer_place(place, skip)(response(200), body)
    assert value is None or isinstance(value, str)

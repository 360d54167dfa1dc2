"""The cursor of a poll, and of its answer."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds.cursor import compile_cursor, compile_response
from tests.kit.heads import head, response


@pytest.mark.parametrize(
    ("request_", "target", "headers", "cursor"),
    [
        (None, "/u?since=3", {}, None),
        ([], "/u?since=3", {}, None),
        ("query:since", "/u?since=3&since=4", {}, "3"),
        ("query:since", "/u", {}, None),
        ("query:since", "/u?since=", {}, ""),
        ("header:If-None-Match", "/u", {"if-none-match": '"v1"'}, '"v1"'),
        (["header:Last-Event-ID", "query:since"], "/u?since=3", {}, "3"),
        (["header:Last-Event-ID", "query:since"], "/u?since=3", {"last-event-id": "9"}, "9"),
        ("query:since", "/u?since=" + "x" * 999, {}, "x" * 256),
    ],
)
def test_the_first_place_that_has_a_cursor_counts(request_, target, headers, cursor):
    assert compile_cursor(request_)(head("GET", target, headers)) == cursor


@pytest.mark.parametrize(("place", "says"), [("json:pos", "write json:/pos"), ("qury:x", "did you mean `query`")])
def test_a_place_that_cannot_be_read_is_refused(place, says):
    with pytest.raises(ValueError, match=says):
        compile_cursor(place)


UPDATES = (
    b'{"result":[{"update_id":8},{"update_id":10},{"update_id":9}],"next":"s_3","n":4,"none":null,"ids":["2","10"]}'
)


@pytest.mark.parametrize(
    ("place", "body", "position"),
    [
        ("json:/next", UPDATES, "s_3"),
        ("json:/n", UPDATES, "4"),
        ("json:/n + 1", UPDATES, "5"),
        ("max(json:/n)+1", UPDATES, "5"),
        ("json:/n+1", b'{"n+1":6}', "6"),
        ("json:/next + 1", UPDATES, None),
        ("json:/none", UPDATES, None),
        ("json:/missing", UPDATES, None),
        ("json:/next", b"{", None),
        ("json:/next", b"", None),
        ("max(json:/result/*/update_id)", UPDATES, "10"),
        ("max(json:/result/*/update_id) + 1", UPDATES, "11"),
        ("min(json:/result/*/update_id)", UPDATES, "8"),
        ("last(json:/result/*/update_id)", UPDATES, "9"),
        ("last(json:/result/*/update_id) + 1", UPDATES, "10"),
        ("max(json:/ids/*)", UPDATES, "10"),
        ("max(json:/result/*/update_id)", b'{"result":[]}', None),
        ("max(json:/result/*/update_id)", b'{"result":[{"update_id":1},{"update_id":"x"}]}', None),
        ("max(json:/*/id)", b'[{"id":18446744073709551615},{"id":3}]', "18446744073709551615"),
        ("header:X-Index", b"", "7"),
        ("header:x-index", b"", "7"),
        ("header:X-Other", b"", None),
    ],
)
def test_an_answer_says_how_far_it_goes(place, body, position):
    assert compile_response(place)(response(200, {"X-Index": "7"}), body) == position


def test_a_dialect_need_not_say_where_an_answer_says_it():
    assert compile_response(None) is None


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("json:/*/id", r"max\(json:/\*/id\)"),
        ("max(json:/*/id", "no place in an answer"),
        ("json:/id)", "no place in an answer"),
        ("json:/id + 2", "no place in an answer"),
        ("query:since", "no place in an answer"),
        ("max(json:/a~2)", "~0"),
    ],
)
def test_a_place_no_answer_has_is_refused(place, says):
    with pytest.raises(ValueError, match=says):
        compile_response(place)


@given(st.binary(max_size=200))
def test_a_position_is_looked_for_in_any_bytes_without_failing(body):
    assert compile_response("max(json:/*/id) + 1")(response(200), body) is None or orjson.loads(body)

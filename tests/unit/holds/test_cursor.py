"""The cursor of a poll."""

from __future__ import annotations

import pytest

from gateway.holds.cursor import compile_cursor
from tests.kit.heads import head


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

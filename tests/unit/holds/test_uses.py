"""What the texts of a policy look into, told from the texts alone."""

from __future__ import annotations

import pytest

from gateway.holds import uses

SQS = {"any": ["header:X-Amz-Target == AmazonSQS.ReceiveMessage", "form:Action == ReceiveMessage"]}


@pytest.mark.parametrize(
    ("condition", "places"),
    [
        ([], []),
        (None, []),
        (["method == GET", "path matches ^/a"], []),
        (["query:index > 0"], ["query:index"]),
        ([SQS], ["header:X-Amz-Target", "form:Action"]),
        ({"not": "json:/returnImmediately == true"}, ["json:/returnImmediately"]),
        (["header-item:Prefer/wait present"], ["header-item:Prefer/wait"]),
        (["json:/*/channel == /meta/connect"], ["json:/*/channel"]),
        (["header:If-None-Match == last:ETag"], ["header:If-None-Match", "last:ETag"]),
        (['query:a == "json:/x is only a text"'], ["query:a"]),
        (["query:a matches ^(form:x|path:y)$"], ["query:a"]),
        (["query:a in (form:x, y)"], ["query:a", "form:x"]),
    ],
)
def test_a_condition_looks_at_the_places_it_names(condition, places):
    assert list(uses.places_of(condition)) == places


@pytest.mark.parametrize(
    ("idle", "places"),
    [
        (["json:/items == []", "body empty", "status == 204", "body in (2, 6)", "every json:/*/type == heartbeat"], []),
        (["header:X-Consul-Index == query:index"], ["query:index"]),
        ([{"all": ["status == 200", "json:/id == json:/last"]}], ["json:/last"]),
    ],
)
def test_a_test_of_an_answer_looks_only_at_what_it_compares_it_with(idle, places):
    assert list(uses.recalled_by(idle)) == places


def test_a_template_looks_at_what_it_fills_in():
    text = '{"a":"{query:a}","b":{json:/b/0},"c":{},"d":"{last:X-Y}{other:z}"}'
    assert list(uses.places_in(text)) == ["query:a", "json:/b/0", "last:X-Y"]


@pytest.mark.parametrize(
    ("when", "part"),
    [
        ([], []),
        (["method == POST", "json:/a present"], ["method == POST"]),
        (
            {"all": ["method == POST", {"all": ["query:a present", "form:b present"]}]},
            ["method == POST", "query:a present"],
        ),
        ([SQS, "method == POST"], ["method == POST"]),
        ({"any": ["query:a present", "query:b present"]}, [{"any": ["query:a present", "query:b present"]}]),
        ([{"not": "xml:@sid present"}, {"not": "query:a present"}], [{"not": "query:a present"}]),
    ],
)
def test_of_what_must_all_hold_a_head_decides_what_needs_no_body(when, part):
    assert uses.head_part(when) == part


def test_header_fields_to_remember_are_named_once_in_lower_case():
    assert uses.last_headers(["last:ETag", "query:a", "last:etag", "last:X-Y"]) == ("etag", "x-y")

"""A JSON text changed at one place and nowhere else."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.holds import splice
from gateway.holds.pointer import ABSENT, compile_pointer

HUGE = b"123456789012345678901234567890"


def put(raw, pointer, text="20", numeric=True):
    if compile_pointer(pointer, pointer)(orjson.loads(raw)) is ABSENT:
        return splice.add(raw, pointer, text, numeric)
    return splice.change(raw, splice.places(raw, pointer), text, numeric)


@pytest.mark.parametrize(
    ("raw", "pointer", "changed"),
    [
        (b'{"t":90}', "/t", b'{"t":20}'),
        (b' { "t" : 90 , "a" : 1.10 } ', "/t", b' { "t" : 20 , "a" : 1.10 } '),
        (b'{"id":%b,"t":90,"f":1.0000000000000000001}' % HUGE, "/t",
         b'{"id":%b,"t":20,"f":1.0000000000000000001}' % HUGE),
        (b'{"t":"90"}', "/t", b'{"t":"20"}'),
        (b'{"t":null,"a":1}', "/t", b'{"t":20,"a":1}'),
        (b'{"t":[1,{"t":2}],"a":1}', "/t", b'{"t":20,"a":1}'),
        (b'{"t":true}', "/t", b'{"t":20}'),
        (b'{"t":5,"a":"x","t":6}', "/t", b'{"t":20,"a":"x","t":20}'),
        (b'{"\\u0074":5,"t":6}', "/t", b'{"\\u0074":20,"t":20}'),
        (b'{"a":"t","t":6}', "/t", b'{"a":"t","t":20}'),
        (b'{"a":"x\\"t","t":6}', "/t", b'{"a":"x\\"t","t":20}'),
        (b'[{"c":"x"},{"advice":{"t":1}}]', "/1/advice/t", b'[{"c":"x"},{"advice":{"t":20}}]'),
        (b"[[1,2],[3,4]]", "/1/0", b"[[1,2],[20,4]]"),
        (b'{"0":1}', "/0", b'{"0":20}'),
        (b'{"a/b":1,"c~d":2}', "/a~1b", b'{"a/b":20,"c~d":2}'),
        (b'{"t":1,"x":{"t":2}}', "/t", b'{"t":20,"x":{"t":2}}'),
        ('{"é":1,"t":"ü"}'.encode(), "/é", '{"é":20,"t":"ü"}'.encode()),
        # added, where its object is there
        (b"{}", "/t", b'{"t":20}'),
        (b" { } ", "/t", b' { "t":20} '),
        (b'{"a":[]}', "/t", b'{"a":[],"t":20}'),
        (b'{"a":{"b":1}}', "/a/t", b'{"a":{"b":1,"t":20}}'),
        (b'{"a":{"t":5},"a":{}}', "/a/t", b'{"a":{"t":20},"a":{"t":20}}'),
        (b'[{"a":1}]', "/0/t", b'[{"a":1,"t":20}]'),
        (b'{"a":1}', "/b/t", None),
        (b'{"a":1}', "/a/t", None),
        (b"[1]", "/t", None),
        (b"[1]", "/1", None),
        (b"7", "/t", None),
    ],
)  # fmt: skip
def test_only_the_value_at_the_pointer_changes(raw, pointer, changed):
    assert put(raw, pointer) == changed


@pytest.mark.parametrize(
    ("raw", "text", "numeric", "changed"),
    [
        (b'{"t":1}', "0.5", True, b'{"t":0.5}'),
        (b'{"t":1}', "05", True, b'{"t":5.0}'),
        (b'{"t":1}', ".5", True, b'{"t":0.5}'),
        (b'{"t":1}', "9" * 32, True, b'{"t":%b}' % (b"9" * 32)),
        (b'{"t":1}', "1500ms", False, b'{"t":"1500ms"}'),
        (b"{}", "PT20S", False, b'{"t":"PT20S"}'),
    ],
)
def test_what_is_written_is_a_json_number_or_a_string(raw, text, numeric, changed):
    assert put(raw, "/t", text, numeric) == changed


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.text(max_size=8)
    | st.sampled_from(['"', "\\", "t"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["t", "a", "a/b", "0", 'q"']), inner),
    max_leaves=12,
)
POINTERS = st.lists(st.sampled_from(["t", "a", "a~1b", "0", "1", 'q"']), min_size=1, max_size=3).map(
    lambda steps: "/" + "/".join(steps)
)


@given(VALUES, POINTERS, st.sampled_from([None, 1]), st.booleans())
def test_a_changed_document_differs_in_that_value_only(value, pointer, indent, ascii_only):
    raw = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    find = compile_pointer(pointer, pointer)
    changed = put(raw, pointer)
    if changed is None:
        assert find(value) is ABSENT
        return
    after = json.loads(changed)
    assert find(after) == ("20" if isinstance(find(value), str) else 20)
    steps = splice.steps_of(pointer)
    assert without(after, steps) == without(value, steps)


def without(value, steps):
    """The value with nothing where the steps lead."""
    if not steps:
        return "gone"
    if isinstance(value, dict):
        kept = {key: without(each, steps[1:]) if key == steps[0] else each for key, each in value.items()}
        return {key: each for key, each in kept.items() if each != "gone"}
    if isinstance(value, list):
        return [without(each, steps[1:]) if str(at) == steps[0] else each for at, each in enumerate(value)]
    return value


def pointers(value):
    """Every pointer that leads somewhere in the value."""
    named = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in named:
        here = "/" + str(step).replace("~", "~0").replace("/", "~1")
        yield here
        yield from (here + rest for rest in pointers(inner))


@given(VALUES, st.booleans())
def test_a_name_that_stands_there_once_is_where_the_pointer_leads(value, ascii_only):
    raw = json.dumps(value, ensure_ascii=ascii_only).encode()
    for pointer in pointers(value):
        key = splice.only_key(raw, pointer)
        ((start, end),) = splice.places(raw, pointer)
        assert json.loads(raw[start:end]) == compile_pointer(pointer, pointer)(value)
        assert key is None or raw[:start].rstrip(b" :").endswith(key)


def test_a_name_that_is_given_beyond_all_reason_is_left_alone():
    many = b"{" + b",".join([b'"t":1'] * 5000) + b"}"
    assert put(many, "/t") is None
    assert len(splice.places(many, "/t")) == splice.MOST + 1
    assert put(b"{" + b",".join([b'"a":{}'] * 5000) + b"}", "/a/t") is None


def test_a_document_of_any_depth_is_walked_without_recursion():
    deep = b"[" * 1000 + b"]" * 1000
    assert put(b'{"a":%b,"t":1,"\\u0062":2}' % deep, "/t") == b'{"a":%b,"t":20,"\\u0062":2}' % deep

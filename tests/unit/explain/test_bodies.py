"""What is said of a request's body: whether the dialect read it and why not, and what is forwarded of it."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config.settings import Config
from gateway.explain.text import render

from .kit import asked, first_line, hold_of, talking

JSON = ("Content-Type", "application/json; charset=utf-8")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
ASK = """
when = ["method == POST"]
ask = [{ in = "json", name = "/wait", unit = "ms" }, { in = "form", name = "WaitTimeSeconds" }]
absent = "9s"
max = "20s"
rewrite = true
body_limit = "1KiB"
"""


@pytest.mark.parametrize(
    ("headers", "data", "read", "line"),
    [
        ((JSON,), '{"wait":5000}', True,
         "13 bytes of application/json, read to its end before the hold was decided"),
        ((), '{"wait":5000}', True,
         "13 bytes of no type, read; without a Content-Type it counts as JSON, no form is looked for in it"),
        ((JSON,), '{"wait":', True,
         "8 bytes of application/json, read, but it is not what its Content-Type says, so this is an ordinary call"),
        ((JSON,), '{"wait":5000,"x":"' + "x" * 1024 + '"}', False,
         "1044 bytes of application/json, not read: it is longer than body_limit, 1KiB, so this is an ordinary call"),
        ((JSON, ("Content-Encoding", "gzip")), "zipped", True,
         "6 bytes of application/json, not looked into: it is encoded (gzip), so this is an ordinary call"),
        ((), None, False, "none was sent, and this dialect looks into one; give it with --data or --data-file"),
    ],
)  # fmt: skip
def test_a_body_that_is_needed_says_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: tuple[tuple[str, str], ...], data: str | None,
    read: bool, line: str,
) -> None:  # fmt: skip
    story = asked(talking(tmp_path, monkeypatch, ASK), "/p", *headers, data=data)
    body = hold_of(story).body
    assert body is not None
    assert body.read is read
    assert f"body          {line}" in " ".join(render(story).replace("\n" + " " * 16, " ").splitlines())
    assert hold_of(story).held is ("ordinary call" not in line)


@pytest.mark.parametrize("data", ['{"wait":1', None])
def test_a_body_that_does_not_come_whole_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str | None
) -> None:
    fields = (JSON, ("Content-Length", "50"), ("Expect", "100-continue"))
    story = asked(talking(tmp_path, monkeypatch, ASK), "/p", *fields, data=data)
    assert (story.verdict.result, story.verdict.slug, story.forwarded) == ("refused", "body_timeout", None)


def test_a_body_in_chunks_is_read_and_forwarded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = 'd\r\n{"wait":90000\r\n1\r\n}\r\n0\r\n\r\n'
    story = asked(talking(tmp_path, monkeypatch, ASK), "/p", JSON, ("Transfer-Encoding", "chunked"), data=chunks)
    assert story.forwarded is not None
    assert (hold_of(story).asked, story.forwarded.body) == (90.0, '{"wait":20000}')


def test_a_body_that_is_not_needed_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = talking(tmp_path, monkeypatch, ASK)
    body = hold_of(asked(config, "/p", JSON, data='{"wait":1}', method="PUT")).body
    assert body is not None
    assert body.says == "not read: the head alone says that this is an ordinary call"
    other = talking(tmp_path, monkeypatch, 'absent = "9s"')
    assert "not read: nothing in this dialect looks into a body" in render(asked(other, data="x"))
    assert hold_of(asked(other)).body is None


@pytest.mark.parametrize(
    ("header", "data", "sent"),
    [
        (JSON, '{ "wait": 90000, "a": 1 }', '{ "wait": 20000, "a": 1 }'),
        (FORM, "a=1&WaitTimeSeconds=90", "a=1&WaitTimeSeconds=20"),
    ],
)
def test_the_forwarded_body_is_shown_as_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: tuple[str, str], data: str, sent: str
) -> None:
    story = asked(talking(tmp_path, monkeypatch, ASK), "/p", header, data=data)
    assert story.forwarded is not None
    assert (story.forwarded.body, story.forwarded.body_bytes) == (sent, len(sent))
    assert f"Content-Length: {len(sent)}" in story.forwarded.lines
    assert f"  | {sent}" in render(story).splitlines()
    assert (hold_of(story).rewritten, hold_of(story).unchanged) == (True, None)


SECRET = ASK + 'secret = ["json:/token", "json:/deep/*/key", "form:token", "header:X-Odd", "cookie:sid", "query:key"]\n'


@pytest.mark.parametrize(
    ("header", "data", "sent"),
    [
        (JSON, '{"wait":5000,"token":"hush"}', '{"wait":5000,"token":"***"}'),
        (JSON, '{"deep":[{"key":"hush"},{"key":"hush","a":1}],"token":{"a":"hush"}}',
         '{"deep":[{"key":"***"},{"key":"***","a":1}],"token":"***"}'),
        (JSON, '{"token":"hush","token":"b"}', '{"token":"***"}'),
        (FORM, "a=1&token=hush&%74oken=hush", "a=1&token=***&%74oken=***"),
        (JSON, '{"token":"hush"', None),  # malformed: what is secret in it cannot be found
        (JSON, '{"token":"hush-hush-hush","wait":' + "9" * 1200 + "}", None),
        (("Content-Type", "multipart/form-data; boundary=b"), "--b\r\n\r\nhush", None),
        (("Content-Encoding", "gzip"), "hush", None),
    ],
)  # fmt: skip
def test_what_is_secret_in_a_body_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: tuple[str, str], data: str, sent: str | None
) -> None:
    fields = (header, ("X-Odd", "hush"), ("Cookie", "sid=hush"))
    story = asked(talking(tmp_path, monkeypatch, SECRET), "/p?key=hush", *fields, data=data)
    assert story.forwarded is not None
    assert story.forwarded.body_bytes == len(data)
    assert sent is None or story.forwarded.body == sent
    for text in (render(story), orjson.dumps(story).decode()):
        assert "hush" not in text


def test_a_secret_in_chunks_that_nobody_read_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields, chunks = (FORM, ("Transfer-Encoding", "chunked")), "a\r\ntoken=hush\r\n0\r\n\r\n"
    story = asked(talking(tmp_path, monkeypatch, SECRET), "/p", *fields, data=chunks, method="PUT")
    assert story.forwarded is not None and story.forwarded.body is None
    assert "hush" not in render(story)


def test_a_secret_of_a_body_is_hidden_wherever_it_turns_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, SECRET), "/p?a=long-hush", JSON, data='{"token":"long-hush"}')
    assert "long-hush" not in render(story)
    assert first_line(story).startswith("POST /p?a=***")


def test_a_long_body_is_cut_and_a_control_shown_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = talking(tmp_path, monkeypatch, 'absent = "9s"')
    lines = render(asked(config, data="x\x1b[2Jy\n" + "z" * 5000)).splitlines()
    assert "  | x\\x1b[2Jy" in lines and "  | .. and 3010 characters more" in lines
    assert max(map(len, lines)) <= 100


FEATURES = (
    SECRET
    + """
zero = "default"
key = "json:/client"
cursor = { request = ["form:at", "json:/at"], response = "json:/at" }
idle = ["json:/at == json:/at", "header:X == query:x", "status == 204"]
unbounded = ["json:/feed == continuous"]
signed = ["header:X-Sig present"]
replay = "cursor"
[route.hold.empty]
answer = "template"
headers = { Content-Type = "application/json" }
body = '{"at":"{json:/at}"}'
needs = ["json:/at present"]
[route.hold.refusals]
429 = { body = '{"retry":{retry_after}}' }
"""
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["wait", "token", "key", "deep", "at", "client", "feed"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "text/plain", "text/xml", "", "x;y=z"]
)


@given(
    VALUES.map(json.dumps) | st.text(max_size=40) | st.sampled_from(["wait=", "token=a&token=b&=&;", "[" * 500, "NaN", "<a", "<a wait='1'/>"]),
    TYPES,
    st.dictionaries(st.sampled_from(["X-Sig", "X-Odd", "Content-Encoding", "Expect", "Content-Digest", "Cookie"]), st.sampled_from(["a", "gzip", "100-continue", "sid=1"]), max_size=3),
    st.sampled_from(["/p", "/p?key=hush", "/p?x=%0d%0a"]),
)  # fmt: skip
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_body_has_an_explanation(
    featured: Config, data: str, media: str, fields: dict[str, str], target: str
) -> None:
    headers = (("Content-Type", media), *fields.items()) if media else tuple(fields.items())
    story = asked(featured, target, *headers, data=data)
    assert story.passes == (story.verdict.result != "refused")
    assert render(story) and json.loads(orjson.dumps(story))
    assert "hush" not in render(story)


@pytest.fixture
def featured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    return talking(tmp_path, monkeypatch, FEATURES)

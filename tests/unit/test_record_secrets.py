"""Records show no token, no secret of a path and no value of a query that was not allowed, wherever a client put it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.head import RequestHead
from gateway.outcome import Outcome
from gateway.policies.cors import compile_cors
from gateway.routing import Rule
from gateway.target import canonical_path
from gateway.telemetry.paths import beside
from gateway.telemetry.record import MAX_TEXT, shown_path
from tests.kit.calls import head_of
from tests.kit.records import record_of
from tests.kit.serving import WALL, Scene

from .test_record import SINCE, ended, line_of, shown


def test_of_a_query_only_names_and_allowed_values_are_shown() -> None:
    call = ended(Outcome.NEWS)
    call.query = "since=5&access_token=secret&since=6"
    record = record_of(call, WALL, 126.5, SINCE)
    assert record["query"] == ["since", "access_token", "since"] and "secret" not in str(record)
    assert "query_values" not in record_of(call, WALL, 126.5, shown())


BOT = Rule(None, "/bot/{token}/updates", ("GET",))


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (head_of("/bot/s3cret/updates"), None),
        (head_of("/bot/s3cret/updates", method="POST"), 405),
        (head_of("/bot/s3cret/updates", ("Origin", "https://a"), ("Access-Control-Request-Method", "GET"),
        method="OPTIONS"), 204),
    ],
    ids=["served", "wrong method", "preflight"],
)  # fmt: skip
def test_a_secret_in_the_path_reaches_no_record(head: RequestHead, status: int | None) -> None:
    cors = compile_cors(["https://a"], ("GET",), (), (), False, 600)
    scene = Scene(rule=BOT, head=head, secret_params=("token",), cors=cors).open()
    if status is None:
        scene.serve.on_gone(scene.call)
    assert scene.call.status == (status or 0)
    assert b"s3cret" not in line_of(scene.call)


INSIDE = Rule(None, "/bot{token}/getUpdates", ("GET",))


@pytest.mark.parametrize("path", ["/bot123:abc/getUpdates", "/%62ot123%3Aabc/getUpdates", "/bot123%3aabc/getUpdates"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_secret_inside_a_part_of_the_path_reaches_no_record(path: str, method: str) -> None:
    path = canonical_path(path) or ""
    scene = Scene(rule=INSIDE, head=head_of(path, method=method), secret_params=("token",), path=INSIDE.path).open()
    if method == "GET":
        scene.serve.on_gone(scene.call)
    assert scene.call.params is not None and scene.call.params["token"] in ("123:abc", "123%3Aabc")
    assert shown_path(scene.call) == "/bot***/getUpdates"
    assert b"123" not in line_of(scene.call).split(b'"peer"')[0].split(b'"path"')[1]


@pytest.mark.parametrize(
    ("template", "path", "params", "seen"),
    [
        ("/bot{t}/x", "/botx/x", {"t": "x"}, "/bot***/x"),  # a short one, too; the other x is the template's
        ("/bot{t}/{y}", "/botx/x", {"t": "x", "y": "x"}, "/bot***/***"),
        ("/{t}:poll", "/abc:poll", {"t": "abc"}, "/***:poll"),
        ("/v1/items-{t}.json", "/v1/items-7.json", {"t": "7"}, "/v1/items-***.json"),
        ("/bot{t}/**", "/bot123:abcd/file/123:abcd/a-123%3Aabcd", {"t": "123:abcd", "**": "-"},
         "/bot***/file/***/a-***"),
        ("/{a}/k{t}/{b}", "/1/k2/3", {"a": "1", "t": "2", "b": "3"}, "/1/k***/3"),
    ],
)  # fmt: skip
def test_only_the_secret_of_a_part_is_hidden_wherever_it_turns_up(
    template: str, path: str, params: dict[str, str], seen: str
) -> None:
    call = ended(Outcome.NEWS)
    assert call.plan is not None
    call.plan = replace(call.plan, secret_params=("t",), path=template)
    call.params, call.path = params, path
    assert shown_path(call) == seen


PREFIXES = replace(SINCE, secret_prefixes=("/a/", "/bot/", "/tg:bot"))
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/bot/s3cret", "/bot/***"), ("/BOT/s3cret/updates", "/BOT/***"), ("/v1/bot/s3cret/updates", "/v1/bot/***"),
        ("/bot/s3cret/a/b", "/bot/***"), ("/else/there", "/else/there"), (f"/no/{JWT}/x", "/no/***/x"),
        (f"/Bearer%20{JWT}", "/Bearer%20***"),
        ("/tg:bot1:a/getUpdatez", "/tg:bot***"), ("/TG:Bot1/x", "/TG:Bot***"), ("/v1/tg%3Abot1:a", "/v1/tg%3Abot***"),
        (f"/{'x' * 505}/{JWT}", f"/{'x' * 505}/***"),
    ],
)  # fmt: skip
def test_a_path_that_nobody_serves_shows_no_secret(path: str, seen: str) -> None:
    """Such as one that lacks what a client was told to put before it, or has it twice, or in capitals."""
    call = ended(Outcome.NO_ROUTE)
    call.plan, call.path = None, path
    assert record_of(call, WALL, 126.5, PREFIXES)["path"] == seen


@pytest.mark.parametrize(
    ("template", "own", "kept"),
    [
        ("/**", (), ("/bot",)), ("/{x}/y", (), ("/bot",)), ("/bot{t}/**", (), ("/bot",)), ("/bo{t}/x", (), ("/bot",)),
        ("/bot{t}/x", ("t",), ()), ("/{lang}/{t}", ("t",), ("/bot",)), ("/bots/{x}", (), ()), ("/files/**", (), ()),
        ("/botany", (), ()), ("/", (), ()),
    ],
)  # fmt: skip
def test_a_route_knows_the_secrets_of_others_in_what_it_captures(
    template: str, own: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    """`/api/{token}` is not known by its form: what else is below `/api/` stays readable."""
    assert beside(template, own, ("/bot", "/api/")) == kept


def test_a_token_is_shown_in_no_path_and_as_no_name() -> None:
    call = ended(Outcome.NEWS)
    call.path, call.query = f"/files/{JWT}", f"{JWT}&{JWT}x=1"
    record = record_of(call, WALL, 126.5, SINCE)
    assert (record["path"], record["query"]) == ("/files/***", ["***", "***"])


@pytest.mark.parametrize("wild", ["eyJ", "eyJ.", "eyJ-", "eyJ%20", "eyJa.b", "%41eyJ", "a.eyJa."])
def test_what_looks_like_a_megabyte_of_tokens_takes_no_time(wild: str) -> None:
    """A search that begins again and again would take minutes."""
    call = ended(Outcome.NO_ROUTE)
    call.plan, call.path, call.query = None, "/" + wild * (1_000_000 // len(wild)), wild * 2000
    assert len(str(record_of(call, WALL, 126.5, PREFIXES)["path"])) == MAX_TEXT or "***" in line_of(call).decode()


def test_of_two_secrets_of_which_one_begins_the_other_nothing_is_left() -> None:
    call = ended(Outcome.NEWS)
    assert call.plan is not None
    call.plan = replace(call.plan, secret_params=("x", "y"))
    call.params, call.path = {"x": "abc", "y": "abcdef"}, "/a/abc/abcdef"
    assert record_of(call, WALL, 126.5, shown())["path"] == "/a/***/***"
    call.params, call.path = {"x": "abcdefgh", "y": "abcdefghij"}, "/a/abcdefgh/x-abcdefghij-x"
    assert record_of(call, WALL, 126.5, shown())["path"] == "/a/***/x-***-x"


@pytest.mark.parametrize("value", ["123:abcdefg", "123%3Aabcdefg", "short"])
def test_a_secret_of_the_path_is_hidden_in_the_query_and_in_the_cursor_too(value: str) -> None:
    call = ended(Outcome.NEWS)
    assert call.plan is not None and call.hold is not None
    call.plan = replace(call.plan, secret_params=("token",))
    call.params, call.cursor = {"token": value}, value
    call.query = f"{value}&since={value}&{'x' * 60 if value != 'short' else '&'}{value}=1"
    line = line_of(call).decode()
    assert record_of(call, WALL, 126.5, SINCE)["query_values"] == {"since": "***"}
    assert "abcdefg" not in line and "123" not in line.split('"query"')[1] and "short" not in line

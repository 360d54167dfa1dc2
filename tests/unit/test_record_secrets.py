"""Records show no token, no secret of a path and no value of a query that was not allowed, wherever a client put it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.head import RequestHead
from gateway.outcome import Outcome
from gateway.policies.cors import compile_cors
from gateway.routing import Rule
from gateway.telemetry.record import MAX_TEXT, build
from tests.kit.calls import head_of
from tests.kit.serving import WALL, Scene

from .test_record import SINCE, ended, line_of, shown


def test_of_a_query_only_names_and_allowed_values_are_shown() -> None:
    call = ended(Outcome.NEWS)
    call.query = "since=5&access_token=secret&since=6"
    record = build(call, WALL, 126.5, SINCE)
    assert record["query"] == ["since", "access_token", "since"] and "secret" not in str(record)
    assert "query_values" not in build(call, WALL, 126.5, shown())


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


PREFIXES = replace(SINCE, secret_prefixes=("/a/", "/bot/"))
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/bot/s3cret", "/bot/***"), ("/BOT/s3cret/updates", "/BOT/***"), ("/v1/bot/s3cret/updates", "/v1/bot/***"),
        ("/bot/s3cret/a/b", "/bot/***"), ("/else/there", "/else/there"), (f"/no/{JWT}/x", "/no/***/x"),
        (f"/Bearer%20{JWT}", "/Bearer%20***"),
        (f"/{'x' * 505}/{JWT}", f"/{'x' * 505}/***"),
    ],
)  # fmt: skip
def test_a_path_that_nobody_serves_shows_no_secret(path: str, seen: str) -> None:
    """Such as one that lacks what a client was told to put before it, or has it twice, or in capitals."""
    call = ended(Outcome.NO_ROUTE)
    call.plan, call.path = None, path
    assert build(call, WALL, 126.5, PREFIXES)["path"] == seen


def test_a_token_is_shown_in_no_path_and_as_no_name() -> None:
    call = ended(Outcome.NEWS)
    call.path, call.query = f"/files/{JWT}", f"{JWT}&{JWT}x=1"
    record = build(call, WALL, 126.5, SINCE)
    assert (record["path"], record["query"]) == ("/files/***", ["***", "***"])


@pytest.mark.parametrize("wild", ["eyJ", "eyJ.", "eyJ-", "eyJ%20", "eyJa.b", "%41eyJ", "a.eyJa."])
def test_what_looks_like_a_megabyte_of_tokens_takes_no_time(wild: str) -> None:
    """A search that begins again and again would take minutes."""
    call = ended(Outcome.NO_ROUTE)
    call.plan, call.path, call.query = None, "/" + wild * (1_000_000 // len(wild)), wild * 2000
    assert len(str(build(call, WALL, 126.5, PREFIXES)["path"])) == MAX_TEXT or "***" in line_of(call).decode()


def test_of_two_secrets_of_which_one_begins_the_other_nothing_is_left() -> None:
    call = ended(Outcome.NEWS)
    assert call.plan is not None
    call.plan = replace(call.plan, secret_params=("x", "y"))
    call.params, call.path = {"x": "abc", "y": "abcdef"}, "/a/abc/abcdef"
    assert build(call, WALL, 126.5, shown())["path"] == "/a/***/***"

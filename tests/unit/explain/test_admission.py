"""What is said of a request that is refused, and of the rest all the same."""

from __future__ import annotations

import pytest

from gateway.config.settings import Config
from gateway.explain.text import render

from .kit import POLL, first_line, token, told


@pytest.mark.parametrize(
    ("bearer", "status", "slug"),
    [
        (None, 401, "token_missing"),
        ("rubbish.rubbish.rubbish", 401, "token_malformed"),
    ],
)
def test_without_a_token_the_rest_is_shown_as_if_admitted(
    config: Config, bearer: str | None, status: int, slug: str
) -> None:
    story = told(config, f"{POLL}&timeout=90", bearer=bearer)
    assert (story.verdict.result, story.verdict.slug, story.passes) == ("refused", slug, False)
    assert [(step.kind, step.status, step.slug) for step in story.admission] == [("jwt", status, slug)]
    assert story.as_if_admitted
    assert story.caller is None
    assert first_line(story).endswith("timeout=45 HTTP/1.1")
    assert story.hold is not None
    assert story.hold.granted == 45.0
    assert "What follows is shown as if the call had been admitted." in render(story)


def test_a_caller_without_the_scope_is_still_named(config: Config) -> None:
    story = told(config, POLL, bearer=token(config, scope="other"))
    assert (story.verdict.slug, story.as_if_admitted) == ("insufficient_scope", True)
    caller = story.caller
    assert caller is not None
    assert (caller.consumer, caller.tenant, caller.scopes, caller.ends_in) == ("alice", "acme", ("other",), 3630.0)


@pytest.mark.parametrize(("peer", "result"), [("10.1.2.3", "forwarded"), ("192.0.2.7", "refused")])
def test_the_address_of_the_client_can_be_chosen(config: Config, peer: str, result: str) -> None:
    story = told(config, "http://a.example.org/plain/x", method="POST", data="{}", peer=peer)
    assert story.verdict.result == result
    assert story.forwarded is not None
    assert story.forwarded.body_bytes == 2
    assert f"X-Forwarded-For: {peer}" in story.forwarded.lines


@pytest.mark.parametrize(
    ("method", "url", "status", "slug", "hint"),
    [
        ("GET", "/nowhere", 404, "no_route", "served at this host: GET /updates, * /article, * /doc/{id}"),
        ("POST", "/updates", 405, "method_not_allowed", "methods served at this path: GET, HEAD"),
        ("GET", "http://example.net/updates", 421, "unknown_host", "hosts served: api.example.com, *.example.org"),
        ("GET", "/a/../updates", 400, "bad_target", None),
        ("GET", "/a%2fb", 400, "bad_target", None),
        (
            "TRACE",
            "/article",
            405,
            "method_not_allowed",
            "methods served at this path: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT",
        ),
        ("GET", "/" + "a" * 9000, 414, "target_too_long", None),
    ],
)
def test_a_request_without_a_route_is_told_what_there_is(
    config: Config, method: str, url: str, status: int, slug: str, hint: str | None
) -> None:
    verdict = told(config, url, method=method, bearer=None).verdict
    assert verdict.answer is not None
    assert (verdict.result, verdict.answer.status, verdict.slug, verdict.hint) == ("refused", status, slug, hint)


def test_a_preflight_is_answered_here_and_passes(config: Config) -> None:
    fields = (("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "GET"))
    story = told(config, "/updates", *fields, method="OPTIONS", bearer=None)
    assert (story.verdict.result, story.passes, story.forwarded) == ("preflight", True, None)
    assert story.route is not None
    assert story.route.name == "updates"

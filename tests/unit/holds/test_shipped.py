"""The policies in the wheel, on concrete requests and answers."""

from __future__ import annotations

import pytest

from gateway.holds import ask, budget
from gateway.holds.blank import render
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from tests.kit.heads import head, response
from tests.kit.holds import shipped

NOW = 50.0
NAMES = ["article-updates", "cursor-updates", "prefer-wait"]
CURSOR_POLL = "/updates?last_event_id=3"

NO_STORE = (b"Cache-Control", b"no-store")


@pytest.mark.parametrize("name", NAMES)
def test_every_deadline_lies_inside_what_clients_wait(name):
    plan = shipped(name)
    longest = budget.grant(NOW, None if plan.rewrite is False else plan.max, plan).deadline - NOW
    assert longest < plan.client_timeout


def test_article_updates_treats_every_request_as_a_poll_of_25_s():
    plan = shipped("article-updates")
    wish = ask.read(plan, head("GET", "/updates"))
    assert wish == ask.Ask(True, True, None, 25.0)
    got = budget.grant(NOW, wish.seconds, plan)
    assert (got.hold, got.deadline, got.upstream_due, got.rewrite) == (25.0, NOW + 28.0, NOW + 26.0, False)


def test_article_updates_is_never_cut_short_or_spoken_for():
    plan = shipped("article-updates")
    assert plan.template is None
    assert plan.replay == "destructive"
    assert budget.grant(NOW, None, plan, [("token", NOW + 20.0)]).answer_now == "token"
    assert budget.grant(NOW, None, plan, [("drain", NOW + 20.0)]).answer_now == "drain"
    assert ask.write(plan, head("GET", "/updates?timeout=9"), 5.0) == ask.Rewrite("timeout=9")


@pytest.mark.parametrize(
    ("target", "wish"),
    [
        ("/updates", ask.NOT_A_POLL),
        (CURSOR_POLL, ask.Ask(True, True, None, 25.0)),
        (CURSOR_POLL + "&timeout=10", ask.Ask(True, True, 10.0, 10.0)),
        (CURSOR_POLL + "&timeout=0", ask.Ask(True, False)),
        (CURSOR_POLL + "&timeout=x", ask.Ask(True, True, None, ask.UNBOUNDED, None, ask.MALFORMED)),
    ],
)
def test_cursor_updates_holds_what_says_where_it_stands(target, wish):
    plan = shipped("cursor-updates")
    assert ask.read(plan, head("GET", target)) == wish
    assert ask.read(plan, head("POST", target)) == ask.NOT_A_POLL


def test_cursor_updates_tells_the_upstream_of_a_clamped_hold():
    plan = shipped("cursor-updates")
    request = head("GET", CURSOR_POLL + "&timeout=90")
    got = budget.grant(NOW, 90.0, plan)
    assert (got.hold, got.clamped_by, got.deadline) == (45.0, "max", NOW + 45.0 * 1.0625 + 5.0)
    left = budget.wait_left(plan, got.hold, got.deadline, NOW + 0.01)
    assert left == 45.0
    assert ask.write(plan, request, left).query == "last_event_id=3&timeout=45"


def test_cursor_updates_says_no_news_with_an_empty_list():
    plan = shipped("cursor-updates")
    blank = render(plan.template, head("GET", CURSOR_POLL))
    assert blank == Reply(Outcome.BLANK, 200, ((b"Content-Type", b"application/json"), NO_STORE), b"[]")
    assert plan.cursor(head("GET", CURSOR_POLL)) == "3"


@pytest.mark.parametrize(
    ("name", "status", "body", "idle"),
    [
        ("article-updates", 204, b"", True),
        ("article-updates", 200, b"[]", True),
        ("article-updates", 200, b'{"id":1}', False),
        ("cursor-updates", 204, b"", True),
        ("cursor-updates", 200, b"[]\n", True),
        ("cursor-updates", 200, b'[{"id":4}]', False),
        ("cursor-updates", 500, b"[]", False),
        ("prefer-wait", 304, b"", True),
        ("prefer-wait", 200, b"", False),
    ],
)
def test_no_news_is_told_from_news(name, status, body, idle):
    assert shipped(name).idle(response(status), body) is idle


@pytest.mark.parametrize(
    ("method", "headers", "wish"),
    [
        ("GET", {"Prefer": "respond-async, wait=10; x=y"}, ask.Ask(True, True, 10.0, 10.0)),
        ("GET", {"Prefer": "respond-async"}, ask.NOT_A_POLL),
        ("GET", {"Prefer": "wait=0"}, ask.Ask(True, False)),
        ("GET", {"Prefer": "wait"}, ask.Ask(True, False, note=ask.MALFORMED)),
        ("POST", {"Prefer": "wait=10"}, ask.NOT_A_POLL),
    ],
)
def test_prefer_wait_holds_what_prefers_to_wait(method, headers, wish):
    assert ask.read(shipped("prefer-wait"), head(method, "/bundles/a", headers)) == wish


def test_prefer_wait_rewrites_its_item_and_leaves_the_other_preferences():
    plan = shipped("prefer-wait")
    request = head("GET", "/a?b=1", {"Prefer": "modes=snapshot, wait=300"})
    assert ask.write(plan, request, budget.grant(NOW, 300.0, plan).hold) == ask.Rewrite(
        "b=1", (b"Prefer", b"modes=snapshot, wait=60")
    )


@pytest.mark.parametrize(
    ("tag", "echoed"),
    [('"v1"', b'"v1"'), ('W/"v1"', b'W/"v1"'), ("*", None), ('"v1", "v2"', None), (None, None), ("v1", None)],
)
def test_prefer_wait_says_not_modified_for_exactly_one_version(tag, echoed):
    plan = shipped("prefer-wait")
    request = head("GET", "/a", {"If-None-Match": tag} if tag else {})
    blank = render(plan.template, request)
    assert blank == (Reply(Outcome.BLANK, 304, ((b"ETag", echoed), NO_STORE)) if echoed else None)
    assert plan.cursor(request) == tag

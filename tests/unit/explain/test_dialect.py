"""What is said of a dialect's rules: what is no news, the answer of our own, who polls, what may be done to a poll, and
refusals as its clients see them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.explain.text import render

from .kit import asked, event, hold_of, says, talking, told

BASE = 'when = []\nabsent = "20s"\n'
TEMPLATE = """
replay = "cursor"
idle = ["status == 304", "header:X-Index == query:index", { all = ["status == 503", "body empty"] }]
cursor = { request = ["query:index", "header:X-From"], response = "header:X-Index", acknowledges = true }
[route.hold.empty]
answer = "template"
headers = { Content-Type = "application/json", X-Index = "{query:index}" }
body = '{"at":"{query:index}","who":"{header:X-Who}"}'
needs = ["query:index present", "query:old absent", "header:X-Who present"]
"""


def test_the_no_news_answer_is_shown_as_it_would_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + TEMPLATE), "/p?index=7", ("X-Who", 'a"b'))
    (line,) = says(story, "no-news answer")
    assert line == (
        '200, Content-Type: application/json, X-Index: 7, Cache-Control: no-store, body {"at":"7","who":"a\\"b"}'
    )


@pytest.mark.parametrize(
    ("target", "headers", "why"),
    [
        ("/p", (("X-Who", "a"),), "for `query:index present` in needs does not hold"),
        ("/p?index=7&old=1", (("X-Who", "a"),), "for `query:old absent` in needs does not hold"),
        ("/p?index=7", (), "for `header:X-Who present` in needs does not hold"),
        ("/p?index=7%0d%0aX:y", (("X-Who", "a"),),
         "for a value of query:index or header:X-Who cannot stand where it should"),
    ],
)  # fmt: skip
def test_it_says_why_no_answer_of_our_own_can_be_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, headers: tuple[tuple[str, str], ...], why: str
) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + TEMPLATE), target, *headers)
    assert says(story, "no-news answer") == [f"cannot be given, {why}: only the upstream may end this poll"]
    assert event(story, "upstream silent").outcome == "upstream_timeout"


def test_a_field_of_an_earlier_answer_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = '{ answer = "template", status = 204, headers = { X-At = "{last:X-At}" }, needs = ["last:X-At present"] }'
    (line,) = says(asked(talking(tmp_path, monkeypatch, f"{BASE}empty = {empty}")), "no-news answer")
    assert "`last:X-At present` in needs does not hold, for no earlier answer is known here" in line


def test_every_test_of_an_answer_is_listed_with_what_it_compares_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + TEMPLATE), "/p?index=7")
    assert says(story, "idle") == [
        "`status == 304`",
        "`header:X-Index == query:index` (query:index is 7)",
        '`{ all = ["status == 503", "body empty"] }`',
    ]


def test_tests_may_be_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = talking(tmp_path, monkeypatch, BASE + 'idle = { all = ["status == 200", "body empty"] }')
    assert says(asked(config), "idle") == ['`{ all = ["status == 200", "body empty"] }`']


def test_the_cursor_says_where_it_stands_and_where_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + TEMPLATE), "/p?index=7")
    assert hold_of(story).cursor == "7"
    (line,) = says(story, "cursor")
    assert line == (
        "read from query:index or header:X-From, and an answer goes up to header:X-Index; "
        "it confirms what was read, so we never move it on"
    )


SECRET = 'key = "query:sid"\ncursor = { request = "query:sid" }\nsecret = ["query:sid"]\n'


def test_a_poller_and_a_cursor_that_are_secret_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE + SECRET), "/p?sid=hush")
    assert says(story, "poller") == ["*** in query:sid"]
    assert says(story, "cursor") == ["read from query:sid (secret, so it is not kept)"]
    assert "hush" not in render(story)


def test_the_poller_is_whom_the_dialect_tells_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert says(asked(talking(tmp_path, monkeypatch, BASE)), "poller") == [
        "192.0.2.7, the address, for want of a consumer"
    ]
    config = talking(tmp_path, monkeypatch, BASE + 'key = "header:X-Client"')
    assert says(asked(config, "/p", ("X-Client", "c7")), "poller") == ["c7 in header:X-Client"]
    assert says(asked(config), "poller") == [
        "nobody: the request has no header:X-Client, so no rule about a second poll applies"
    ]
    assert says(told(config, "/updates?last_event_id=1"), "poller") == ["alice, the consumer"]


@pytest.mark.parametrize(
    ("replay", "again", "early"),
    [
        ("cursor", True, True), ("cursor-exclusive", False, True), ("until-ack", True, True), ("lease", False, False),
        ("destructive", False, False), ("session", False, False), ("never", False, False),
    ],
)  # fmt: skip
def test_a_replay_class_says_what_may_be_done_to_a_poll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replay: str, again: bool, early: bool
) -> None:
    (line,) = says(asked(talking(tmp_path, monkeypatch, f'{BASE}replay = "{replay}"')), "replay")
    assert line.startswith(f"{replay}: ")
    assert ("sent once more" in line, "may be ended before its time" in line) == (again, early)


def test_rules_for_coming_back_and_for_early_answers_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hold = BASE + 'min_repoll = "2s"\nearly_headers = true\nempty = { answer = "never" }\n'
    story = asked(talking(tmp_path, monkeypatch, hold))
    (line,) = says(story, "min_repoll")
    assert line.startswith("who comes back sooner than 2 s after an answer without news waits here")
    (line,) = says(story, "early_headers")
    assert line.startswith("the answer begins before there is news")
    assert says(story, "no-news answer") == ['nobody may say it (answer = "never")']


SESSION = """
when = ["query:sid present"]
ask = [{ in = "session", name = "json:/pingInterval", unit = "ms" }]
absent = "25s"
over_max = "pass"
replay = "session"
[route.hold.session]
key = "query:sid"
when = ["query:sid absent", "query:transport == polling"]
id = "json:/sid"
keep = "2m"
"""


def test_a_session_is_told_where_it_begins_and_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = talking(tmp_path, monkeypatch, SESSION)
    (line,) = says(asked(config, "/p?transport=polling"), "session")
    assert line == (
        "this request begins one: its answer says in json:/sid what it is called, in json:/pingInterval (ms) how long "
        "it holds"
    )
    poll = asked(config, "/p?sid=abc")
    (line,) = says(poll, "session")
    assert line == (
        "json:/pingInterval (ms) of the answer that began it, known by query:sid, kept 120 s after its last poll; "
        "explain knows no session"
    )
    wish = hold_of(poll).wish
    assert wish is not None and wish.means == "no session is known here, absent = 25 s"


WORDS = """
[route.hold.refusals]
401 = { status = 200, headers = { Content-Type = "application/json" }, body = '{"ok":false,"code":{status}}' }
429 = { headers = { Content-Type = "application/json" }, body = '{"retry_after":{retry_after},"d":"{detail}"}' }
413 = { body = "too much" }
"""


@pytest.mark.parametrize("when", ["[]", '["query:never present"]'])
def test_refusals_are_shown_as_the_client_would_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Of a poll and of an ordinary call alike."""
    story = asked(talking(tmp_path, monkeypatch, f'when = {when}\nabsent = "20s"\n{WORDS}'))
    seen = {each.status: each for each in story.refusals}
    assert [(status, each.own, each.answer.status) for status, each in seen.items()] == [
        (401, True, 200), (403, False, 403), (413, True, 413), (429, True, 429), (503, False, 503),
    ]  # fmt: skip
    assert seen[401].answer.body == '{"ok":false,"code":401}'
    assert seen[429].answer.body == '{"retry_after":1,"d":"More calls than are allowed in this time."}'
    assert (seen[429].answer.header("Retry-After"), seen[413].answer.body) == ("1", "too much")
    assert seen[403].answer.header("Content-Type") == "application/problem+json"
    lines = render(story).splitlines()
    assert "Refusals in the dialect's own words" in lines
    assert "  401     200 WWW-Authenticate" in render(story)


def test_a_refusal_in_own_words_is_the_result_as_the_client_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = 'when = []\nask = [{ in = "query", name = "t" }]\nabsent = "9s"\nmax = "20s"\nover_max = "reject"\n'
    config = talking(tmp_path, monkeypatch, hold + "refusals = { 400 = { status = 422, body = '{\"no\":1}' } }")
    story = asked(config, "/p?t=21")
    assert (story.verdict.result, story.verdict.outcome) == ("refused", "bad_request")
    text = render(story)
    assert "  refused     422 Unprocessable" in text and '  body        {"no":1}' in text
    assert "Content-Length" not in text


def test_a_dialect_without_words_of_its_own_lists_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    story = asked(talking(tmp_path, monkeypatch, BASE))
    assert story.refusals == () and "own words" not in render(story)

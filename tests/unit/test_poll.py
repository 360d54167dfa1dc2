"""`gateway poll`: its decisions as tables and properties, its loop against real servers on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import formatdate

import click
import pytest
from aiohttp import web
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.demo.upstream import BOARD, make_app
from gateway.poll import Tally, follow, poll_command, read_header, read_url
from gateway.polling.request import Target
from gateway.polling.rules import (
    LONGEST_WAIT,
    Answer,
    Cursor,
    Next,
    Place,
    Rules,
    What,
    as_cursor,
    decide,
    later,
    read_body,
    read_retry_after,
)
from gateway.polling.text import printable, show

RULES = Rules(floor=1.0, base=1.0, cap=30.0, least=0.1)


def most(low: float, high: float) -> float:
    return high


def half(low: float, high: float) -> float:
    return (low + high) / 2


# What comes next, by answer.


@pytest.mark.parametrize(
    ("answer", "what", "cursor", "delay"),
    [
        (Answer(200, 12.0, 2, 9), What.NEWS, 9, 0.0),
        (Answer(200, 0.0, 2, 9), What.NEWS, 9, 0.0),  # waiting news is fetched as fast as it comes
        (Answer(200, 0.0, 2, 7), What.NEWS, 7, 1.0),  # the same news again: slowed down
        (Answer(200, 0.0, 2, 3), What.NEWS, 7, 1.0),  # a cursor never goes back
        (Answer(200, 0.25, 1, None), What.NEWS, 7, 0.75),  # news that carries no id
        (Answer(200, 25.0), What.NO_NEWS, 7, 0.0),
        (Answer(204, 25.0), What.NO_NEWS, 7, 0.0),
        (Answer(304, 25.0), What.NO_NEWS, 7, 0.0),
        (Answer(204, 0.0), What.NO_NEWS, 7, 1.0),  # an empty answer that was not held: slowed down
        (Answer(200, 0.4), What.NO_NEWS, 7, 0.6),
    ],
)
def test_an_answer_is_followed_by_the_next_poll(answer: Answer, what: What, cursor: Cursor, delay: float) -> None:
    step = decide(Place(7, failures=3), answer, RULES, most)
    assert (step.what, step.place, step.stop) == (what, Place(cursor), None)
    assert step.delay == pytest.approx(delay)


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 502, 503, 504, 599])
def test_a_failure_is_backed_off_from_and_keeps_the_cursor(status: int | None) -> None:
    assert decide(Place(7, 2), Answer(status, 3.0), RULES, half) == Next(What.FAILED, Place(7, 3), 2.0)


@pytest.mark.parametrize(("failures", "ceiling"), [(0, 1), (1, 2), (2, 4), (4, 16), (5, 30), (6, 30), (5000, 30)])
def test_the_longest_back_off_doubles_up_to_the_cap(failures: int, ceiling: float) -> None:
    assert decide(Place(None, failures), Answer(None), RULES, most).delay == ceiling


def test_a_back_off_is_never_nothing() -> None:
    assert decide(Place(), Answer(502), RULES, lambda low, high: low).delay == RULES.least


@pytest.mark.parametrize(
    ("status", "delay"),
    [(429, 20.0), (503, 20.0), (502, 0.1), (408, 0.1), (None, 0.1)],
)
def test_retry_after_counts_where_it_has_a_meaning(status: int | None, delay: float) -> None:
    answer = Answer(status, retry_after=20.0)
    assert decide(Place(), answer, RULES, lambda low, high: low).delay == delay


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 405, 409, 410, 418, 451])
def test_what_will_not_change_is_not_asked_again(status: int) -> None:
    step = decide(Place(7), Answer(status), RULES, most)
    assert (step.what, step.place) == (What.REFUSED, Place(7))
    assert step.stop


answers = st.builds(
    Answer,
    status=st.none() | st.integers(200, 599),
    held=st.floats(0, 120),
    items=st.integers(0, 50),
    cursor=st.none() | st.integers(0, 10**12) | st.text(min_size=1, max_size=5),
    retry_after=st.none() | st.floats(0, 10**9),
)
places = st.builds(Place, st.none() | st.integers(0, 10**12), st.integers(0, 10**6))


@given(places, answers, st.integers())
def test_no_answer_makes_the_client_hammer(place: Place, answer: Answer, seed: int) -> None:
    """Only news that moved the cursor, or a poll that was held, may be followed by another at once."""
    step = decide(place, answer, RULES, random.Random(seed).uniform)
    moved = step.what is What.NEWS and step.place.cursor != place.cursor
    if step.stop is None and not moved:
        assert step.delay + answer.held >= (RULES.floor if step.what is not What.FAILED else RULES.least)


@given(places, answers, st.integers())
def test_waits_are_bounded_and_respect_retry_after(place: Place, answer: Answer, seed: int) -> None:
    step = decide(place, answer, RULES, random.Random(seed).uniform)
    assert 0.0 <= step.delay <= LONGEST_WAIT + RULES.base
    if answer.status in (429, 503) and answer.retry_after is not None:
        assert step.delay >= min(answer.retry_after, LONGEST_WAIT)
    else:
        assert step.delay <= RULES.cap


@given(st.lists(answers, max_size=30), st.integers())
def test_a_number_cursor_never_goes_back(run: list[Answer], seed: int) -> None:
    place, draw = Place(), random.Random(seed).uniform
    for answer in run:
        if isinstance(answer.cursor, str):
            answer = replace(answer, cursor=None)
        after = decide(place, answer, RULES, draw).place
        assert place.cursor is None or (isinstance(after.cursor, int) and after.cursor >= place.cursor)  # type: ignore[operator]
        place = after


# What an answer says.


@pytest.mark.parametrize(
    ("body", "items", "cursor"),
    [
        (b"", 0, None),
        (b" \n", 0, None),
        (b"[]", 0, None),
        (b"null", 0, None),
        (b'[{"id":3},{"id":9},{"id":4}]', 3, 9),
        (b'[{"id":"3"},{"id":"10"}]', 2, 10),
        (b'[{"id":"b"},{"id":"a"}]', 2, "a"),  # opaque: the last one
        (b'[{"id":5},{"id":"x"}]', 2, "x"),
        (b'[{"id":true},{"id":null},{"id":1.5},{"id":""},{}]', 5, None),
        (b'["text"]', 1, None),
        (b'{"id":4}', 1, 4),
        (b"hello", 1, None),
        (b"\xff\xfe", 1, None),
        (b'[{"id":123456789012345678901}]', 1, None),
    ],
)
def test_items_and_cursor_are_read_from_the_body(body: bytes, items: int, cursor: Cursor | None) -> None:
    found, newest = read_body(body, "id")
    assert (len(found), newest) == (items, cursor)


@given(st.binary(max_size=200))
def test_any_body_is_read_without_an_exception(body: bytes) -> None:
    read_body(body, "id")


@given(st.lists(st.integers(0, 2**60), min_size=1))
def test_the_cursor_is_the_largest_number(ids: list[int]) -> None:
    body = ("[" + ",".join(f'{{"seq":{one}}}' for one in ids) + "]").encode()
    assert read_body(body, "seq") == ([{"seq": one} for one in ids], max(ids))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(None, None, None), (3, None, 3), (None, 3, 3), (3, 5, 5), (5, 3, 5), ("b", "a", "a"), (3, "a", "a")],
)
def test_the_later_of_two_cursors(old: Cursor | None, new: Cursor | None, expected: Cursor | None) -> None:
    assert later(old, new) == expected


@pytest.mark.parametrize(
    ("text", "cursor"), [("7", 7), ("0", 0), ("007", "007"), ("-7", "-7"), ("7a", "7a"), ("²", "²"), ("", "")]
)
def test_a_typed_cursor_is_a_number_only_if_it_reads_back_the_same(text: str, cursor: Cursor) -> None:
    assert as_cursor(text) == cursor


NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("9" * 400, LONGEST_WAIT),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Sun, 06 Nov 9994 08:49:37 GMT", LONGEST_WAIT),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value, NOW) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_read_without_an_exception(value: str) -> None:
    assert read_retry_after(value, NOW) is None or 0 <= read_retry_after(value, NOW) <= LONGEST_WAIT  # type: ignore[operator]


# What is typed, and what is shown.


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("Authorization: Bearer abc", ("Authorization", "Bearer abc")),
        ("Prefer:wait=5", ("Prefer", "wait=5")),
        ("X-Empty:", ("X-Empty", "")),
        ("X-Time: 10:30 ", ("X-Time", "10:30")),
    ],
)
def test_a_header_is_split_at_its_first_colon(text: str, header: tuple[str, str]) -> None:
    assert read_header(text) == header


@pytest.mark.parametrize("text", ["", "Authorization", ": value", "A b: c", "A: b\r\nC: d", "A: b\0"])
def test_what_is_no_header_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="Name: value"):
        read_header(text)


@pytest.mark.parametrize("text", ["", "updates", "127.0.0.1:8080/updates", "ftp://h/x", "http://", "http://h:99999/"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="http://host:port/path"):
        read_url(text)


def test_news_cannot_steer_the_terminal() -> None:
    assert show({"id": 1, "m": "\x1b[2J\u202e\n"}).isprintable()
    assert printable("a\x1b]0;b\x07c\x9b") == "a ]0;b c "
    assert len(printable("x" * 5000)) == 200


@given(st.integers(0, 10**9) | st.text(min_size=1, max_size=10))
def test_the_next_address_carries_the_cursor_and_keeps_the_rest(cursor: Cursor) -> None:
    target = Target(URL("http://h/updates?last_event_id=1&room=a%26b"), timeout=2.5)
    query = target.at(cursor).query
    assert (query["last_event_id"], query["room"], query["timeout"]) == (str(cursor), "a&b", "2.5")


@pytest.mark.parametrize("timeout", [0.0, 1.0, 25.0, 600.0])
def test_a_client_is_more_patient_than_the_hold_it_asked_for(timeout: float) -> None:
    assert Target(URL("http://h/"), timeout=timeout).patience >= timeout * 1.25


# The loop, against real servers.


class Script:
    """A server that answers poll number n with answer number n, and keeps what it was asked."""

    def __init__(self, *answers: web.Response | None) -> None:
        self.answers = list(answers)
        self.seen: list[web.BaseRequest] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        answer = self.answers[len(self.seen) - 1]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return answer

    @property
    def cursors(self) -> list[str | None]:
        return [request.query.get("last_event_id") for request in self.seen]


class Run:
    """A run of the client with time taken out: pauses are written down, not waited for."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pauses: list[float] = []
        self.tally = Tally()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def follow(self, target: Target) -> str | None:
        return await follow(target, self.lines.append, rules=RULES, draw=most, sleep=self.sleep, tally=self.tally)


Server = Callable[[Script], Awaitable[URL]]


@pytest.fixture
def serve(aiohttp_server: Callable[[web.Application], Awaitable[object]]) -> Server:
    async def start(script: Script) -> URL:
        app = web.Application()
        app.router.add_get("/updates", script.handle)
        server = await aiohttp_server(app)
        url: URL = server.make_url("/updates")  # type: ignore[attr-defined]
        return url

    return start


def news(*ids: int) -> web.Response:
    return web.json_response([{"id": one, "message": f"m{one}"} for one in ids])


async def test_the_cursor_is_followed_and_every_item_is_shown_once(serve: Server) -> None:
    script = Script(news(1, 2), news(3), web.json_response([]), web.Response(status=204), news(4))
    run = Run()
    assert await run.follow(Target(await serve(script), max_polls=5)) is None
    assert script.cursors == [None, "2", "3", "3", "3"]
    assert [line.strip() for line in run.lines if "message" in line] == [
        f'{{"id":{one},"message":"m{one}"}}' for one in (1, 2, 3, 4)
    ]
    assert str(run.tally) == "5 polls: 3 news, 2 no news"
    assert run.pauses == [0.0, 0.0, pytest.approx(1.0, abs=0.9), pytest.approx(1.0, abs=0.9)]


async def test_the_run_begins_at_the_cursor_of_the_address(serve: Server) -> None:
    script = Script(news(8))
    url = (await serve(script)).with_query(last_event_id="7", room="x")
    await Run().follow(Target(url, max_polls=1, timeout=3))
    assert dict(script.seen[0].query) == {"last_event_id": "7", "room": "x", "timeout": "3"}


async def test_failures_are_backed_off_from_and_the_next_answer_resets_them(serve: Server) -> None:
    busy = web.Response(status=503, headers={"Retry-After": "7"})
    script = Script(
        web.Response(status=500), web.Response(status=502), busy, news(1), web.Response(status=500), news(2)
    )
    run = Run()
    assert await run.follow(Target(await serve(script), max_polls=6)) is None
    assert run.pauses == [1.0, 2.0, 8.0, 0.0, 1.0]
    assert str(run.tally) == "6 polls: 2 news, 4 failed"


async def test_a_dropped_poll_is_a_failure_and_is_not_silently_sent_again(serve: Server) -> None:
    script = Script(news(1), None, news(2))
    run = Run()
    await run.follow(Target(await serve(script), max_polls=3))
    assert script.cursors == [None, "1", "1"]
    assert "closed without an answer" in "\n".join(run.lines)
    assert run.pauses == [0.0, 1.0]


async def test_a_refusal_ends_the_run_with_what_the_server_says(serve: Server) -> None:
    problem = web.json_response({"title": "Unauthorized", "detail": "the token\x1b[31m has ended"}, status=401)
    run = Run()
    trouble = await run.follow(Target(await serve(Script(news(1), problem))))
    assert trouble is not None
    assert trouble.startswith("401: no valid token was presented")
    assert "the token [31m has ended" in run.lines[-1]
    assert "next in" not in run.lines[-1]


async def test_a_redirect_is_not_followed(serve: Server) -> None:
    script = Script(web.Response(status=302, headers={"Location": "/updates"}))
    trouble = await Run().follow(Target(await serve(script)))
    assert trouble is not None
    assert "does not follow" in trouble
    assert len(script.seen) == 1


async def test_cookies_are_not_kept_and_headers_are_sent(serve: Server) -> None:
    first = news(1)
    first.set_cookie("session", "x")
    script = Script(first, news(2))
    await Run().follow(Target(await serve(script), (("Authorization", "Bearer t"),), max_polls=2))
    assert ["Cookie" in request.headers for request in script.seen] == [False, False]
    assert [request.headers["Authorization"] for request in script.seen] == ["Bearer t"] * 2


async def test_a_server_that_is_not_there_is_backed_off_from(unused_tcp_port: int) -> None:
    run = Run()
    trouble = await run.follow(Target(URL(f"http://127.0.0.1:{unused_tcp_port}/updates"), max_polls=4))
    assert trouble == "the last poll failed"
    assert run.pauses == [1.0, 2.0, 4.0]
    assert all("cannot connect (Connection refused)" in line for line in run.lines)


async def test_a_kept_connection_is_told_from_a_new_one(serve: Server) -> None:
    run = Run()
    await run.follow(Target(await serve(Script(news(1), news(2))), max_polls=2))
    heads = [line for line in run.lines if "connect" in line]
    assert ["reused" in line for line in heads] == [False, True]


async def test_a_held_poll_is_answered_by_news_and_then_by_no_news(
    aiohttp_server: Callable[[web.Application], Awaitable[object]],
) -> None:
    app = make_app(hold=0.02)
    server = await aiohttp_server(app)
    run = Run()
    url: URL = server.make_url("/updates?last_event_id=0")  # type: ignore[attr-defined]
    client = asyncio.create_task(run.follow(Target(url, max_polls=2, timeout_param="")))
    app[BOARD].publish("hello", 0.0)
    assert await client is None
    assert str(run.tally) == "2 polls: 1 news, 1 no news"


def test_the_command_says_what_is_wrong_without_a_traceback() -> None:
    result = CliRunner().invoke(poll_command, ["updates"])
    assert result.exit_code == 2
    assert "write it as http://host:port/path" in result.output


def test_once_against_nothing_exits_with_1(unused_tcp_port: int) -> None:
    result = CliRunner().invoke(poll_command, ["--once", f"http://127.0.0.1:{unused_tcp_port}/updates"])
    assert result.exit_code == 1
    assert "Error: the last poll failed" in result.output


async def test_tls_where_there_is_none_is_not_tried_again(serve: Server) -> None:
    trouble = await Run().follow(Target((await serve(Script())).with_scheme("https")))
    assert trouble is not None
    assert "is it an http:// address?" in trouble

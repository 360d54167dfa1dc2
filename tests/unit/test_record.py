"""The record of a call: a golden line for every ending, and no control character and no nonsense in any."""

from __future__ import annotations

import asyncio
import json
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call import Call
from gateway.head import RequestHead
from gateway.holds.cursor import compile_cursor
from gateway.identity.claims import Identity, name_of
from gateway.outcome import Outcome
from gateway.parse import Parsers
from gateway.plan import Snapshot
from gateway.streams import Stream
from gateway.telemetry.columns import COLUMNS
from gateway.telemetry.fields import ENCODER, Record
from gateway.telemetry.record import MAX_ARGS, MAX_TEXT, build, start, timestamp
from tests.kit.calls import head_of
from tests.kit.heads import response
from tests.kit.records import record_of
from tests.kit.schema import wrongs
from tests.kit.serving import POLLS, WALL, HandLoop, Scene

GOLDEN = {
    json.loads(line)["outcome"]: json.loads(line)
    for line in (Path(__file__).parents[1] / "golden" / "records.jsonl").open()
}
HEADLESS = {Outcome.BAD_REQUEST: 400, Outcome.CLIENT_TIMEOUT: 408}
PLANLESS = {Outcome.NO_ROUTE: 404, Outcome.METHOD_NOT_ALLOWED: 405}
REFUSED = {Outcome.PREFLIGHT: 204, Outcome.UNAUTHENTICATED: 401, Outcome.FORBIDDEN: 403, Outcome.RATE_LIMITED: 429,
Outcome.CAPPED: 429, Outcome.CONFLICT: 409,
           Outcome.TOO_LARGE: 413, Outcome.OVERLOADED: 503, Outcome.INTERNAL_ERROR: 500}  # fmt: skip
ORDINARY = {Outcome.ANSWERED: 200, Outcome.STREAMED: 200, Outcome.TUNNELLED: 101, Outcome.UPSTREAM_ERROR: 503,
Outcome.UPSTREAM_REFUSED: 502,
            Outcome.UPSTREAM_RESET: 502, Outcome.UPSTREAM_TIMEOUT: 504, Outcome.UPSTREAM_BAD: 502,
            Outcome.TRUNCATED: 200}  # fmt: skip
HELD = {Outcome.NEWS: 200, Outcome.EMPTY: 200, Outcome.BLANK: 200, Outcome.OVERRUN: 200, Outcome.CLIENT_GONE: 0,
Outcome.EVICTED: 200, Outcome.SUPERSEDED: 409,
        Outcome.DRAINED: 503, Outcome.EXPIRED: 200, Outcome.REVOKED: 401}  # fmt: skip


def ended(outcome: Outcome) -> Call:
    """A call that began at loop second 100 and ended at 126.25 as `outcome` says, with what such a call has."""
    scene = Scene()
    head = None if outcome in HEADLESS else head_of("/updates?since=5&token=x", method="GET")
    call = Call(cast(Any, scene.conn), scene.serve, "0af7651916cd43dd8448eb211c80319c", head, "192.0.2.7", 100.0)
    call.outcome, call.ended = outcome, 126.25
    call.status = {**HEADLESS, **PLANLESS, **REFUSED, **ORDINARY, **HELD}[outcome]
    call.bytes_out = 0 if call.status in (0, 204) else 120
    if outcome not in HEADLESS and outcome not in PLANLESS:
        call.plan = scene.plan
    if outcome in ORDINARY or outcome in HELD:
        call.identity = Identity("main", "alice", "acme")
        call.endpoint = scene.upstream.endpoints[0]
        call.attempts, call.sent_at = 1, 100.25
    if outcome in HELD:
        call.hold = POLLS["template"]
        call.asked, call.granted, call.clamped_by, call.cursor = 90.0, 60.0, "max", "5"
    if outcome is Outcome.ANSWERED:
        scene.conn.certificate = "CN=alice,O=Acme"
    if outcome is Outcome.NEWS:
        call.news_latency = 0.000125
    if outcome is Outcome.STREAMED:
        call.first_byte_at, call.stream, call.cursor = 100.5, Stream(response(200), None, 60.0, 100.5), "41"
    if outcome in (Outcome.ANSWERED, Outcome.NEWS, Outcome.EMPTY, Outcome.TRUNCATED, Outcome.UPSTREAM_ERROR):
        call.first_byte_at = 126.0
    if outcome in (Outcome.UPSTREAM_RESET, Outcome.TRUNCATED):
        call.note = "closed"
    if outcome is Outcome.CAPPED:
        call.waited = 10.5  # in line for a place, in vain
    return call


def shown(*allowed: str, peer: str = "full", cursor: bool = True) -> Snapshot:
    """A configuration that allows these query values."""
    made = Scene().serve.snapshot
    return replace(made, log_values=frozenset(allowed), log_peer=peer, log_cursor=cursor)


SINCE = shown("since")


def line_of(call: Call, snapshot: Snapshot = SINCE) -> bytes:
    """As `CallLog` writes it."""
    return ENCODER.encode_lines([build(call, WALL + 126.5, 126.5, snapshot)])


@pytest.mark.parametrize("outcome", Outcome)
def test_every_ending_has_its_golden_record(outcome: Outcome) -> None:
    """The fields are a contract: what changes here changes docs/record.md and whoever reads the log."""
    assert json.loads(line_of(ended(outcome))) == GOLDEN[outcome]


def one_clean_line(line: bytes) -> dict[str, Any]:
    text = line.decode("utf-8")
    assert text.endswith("\n") and len(text.splitlines()) == 1
    assert not [char for char in text[:-1] if unicodedata.category(char) in ("Cc", "Zl", "Zp", "Cs")]
    found = json.loads(text)
    assert isinstance(found, dict)
    return found


WILD = [
    "%0D%0A",
    "%1b%5b2J",
    "%00",
    "%7f",
    "%c2%85",
    "%c2%9b31m",
    "%e2%80%a8",
    "%e2%80%a9",
    "%ed%a0%80",
    "%ff",
    "%22%7d",
    "%5c",
]


@pytest.mark.parametrize("text", WILD)
def test_what_a_client_escaped_never_stands_raw_in_the_line(text: str) -> None:
    call = ended(Outcome.NEWS)
    call.query = f"{text}=1&since={text}"
    call.cursor = compile_cursor("query:since")(head_of(f"/updates?{call.query}"))
    record = one_clean_line(line_of(call))
    assert len(record["query"]) == 2 and record["query_values"].keys() == {"since"}


def from_wire(*lines: bytes) -> RequestHead:
    parsed = Parsers(cast(asyncio.AbstractEventLoop, HandLoop())).request(b"\r\n".join((*lines, b"", b"")), "http")
    assert isinstance(parsed, tuple)
    return parsed[0]


@pytest.mark.parametrize("value", [b"\xff", b"a\x80b", b"\xed\xa0\x80", b"\xc2\x9b31m", "\u2028".encode(), b"\xc2\x85"])
def test_a_cursor_from_a_header_of_any_bytes_leaves_one_line(value: bytes) -> None:
    """Bytes that are no UTF-8 reach a header value as lone surrogates, which no JSON can hold."""
    call = ended(Outcome.NEWS)
    head = from_wire(b"GET /updates HTTP/1.1", b"Host: h", b"Last-Event-ID: " + value)
    call.cursor = compile_cursor("header:Last-Event-ID")(head)
    assert call.cursor
    assert one_clean_line(line_of(call))["cursor"]


@pytest.mark.parametrize("name", ["a\r\nb", "a\x1b[2J", "a\u2028b", "\ud800", "a\x00", " a", "\x85", "x" * 257])
def test_a_consumer_that_would_not_survive_the_line_never_gets_there(name: str) -> None:
    assert name_of(name) is None


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_of_a_query_makes_one_valid_line(name: str, value: str) -> None:
    call = ended(Outcome.NEWS)
    call.query = "&".join(
        "".join(f"%{byte:02x}" for byte in part.encode("utf-8", "surrogatepass")) for part in (name, value)
    )
    assert json.loads(line_of(call, shown(name)))


@pytest.mark.parametrize(
    "values", [(float("inf"), 25.0), (float("nan"), 25.0), (None, None), (-1.0, 0.0), (1e308, float("inf"))]
)
def test_a_wish_of_any_number_makes_one_valid_line(values: tuple[float | None, float | None]) -> None:
    call = ended(Outcome.NEWS)
    call.asked, call.granted = values
    one_clean_line(line_of(call))


def test_everything_a_client_can_make_long_is_cut() -> None:
    call = ended(Outcome.NEWS)
    call.path = "/" + "x" * 8000
    call.query = "&".join(f"{'n' * 200}{number}={'v' * 2000}" for number in range(100)) + "&since=" + "v" * 9000
    call.cursor = "c" * 9000
    record = record_of(call, WALL, 126.5, SINCE)
    assert len(cast(str, record["path"])) == len(cast(str, record["cursor"])) == MAX_TEXT
    assert len(cast(list[str], record["query"])) <= MAX_ARGS and max(map(len, cast(list[str], record["query"]))) <= 64
    assert len(line_of(call)) < 4096


TIMES = st.lists(st.floats(0.0, 1e9), min_size=4, max_size=4).map(sorted)


@given(TIMES, st.booleans(), st.booleans(), st.sampled_from([None, *POLLS.values()]))
def test_no_duration_is_ever_negative(times: list[float], sent: bool, answered: bool, hold: Any) -> None:
    call = ended(Outcome.ANSWERED)
    call.started, sent_at, first, call.ended = times
    call.hold = hold
    call.sent_at, call.first_byte_at = sent_at if sent else None, first if sent and answered else None
    record = record_of(call, WALL, times[3], shown())
    durations = [cast(float, record[name]) for name in ("took", "work", "held", "first_byte") if name in record]
    assert all(value >= 0 for value in durations)


@pytest.mark.parametrize(
    ("peer", "network", "none"),
    [
        ("192.0.2.77", "192.0.2.0/24", None),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48", None),
        ("::ffff:192.0.2.77", "192.0.2.0/24", None),
        ("fe80::1%eth0", "fe80::/48", None),
        ("::1", "::/48", None),
        ("unix", "unix", None),
        ("", "", None),
    ],
)
def test_of_an_address_its_network_or_nothing_may_be_shown(peer: str, network: str, none: None) -> None:
    for call, kept in ((ended(Outcome.NEWS), start), (ended(Outcome.NEWS), record_of)):
        call.peer = peer
        shown_peers = [kept(call, WALL, 126.5, shown(peer=how))["peer"] for how in ("full", "network", "none")]
        assert shown_peers == [peer, network, none]


def test_a_start_says_when_the_hold_ends_and_hides_what_a_record_hides() -> None:
    call = ended(Outcome.NEWS)
    assert call.plan is not None
    call.plan, call.params = replace(call.plan, secret_params=("x",)), {"x": "s3cret"}
    call.path, call.query, call.deadline = "/a/s3cret", "token=s3cret", 160.0
    line = start(call, WALL + 126.5, 126.5, SINCE)
    assert (line["path"], line["time"], line["ends_at"]) == (
        "/a/***", timestamp(WALL + 126.5), timestamp(WALL + 160.0),
    )  # fmt: skip
    assert wrongs(line) == [] and "s3cret" not in str(line)


def test_a_start_of_a_hold_that_nothing_ends_says_so() -> None:
    call = ended(Outcome.NEWS)
    call.identity, call.asked, call.granted, call.plan, call.endpoint = None, None, None, None, None
    line = start(call, WALL, 126.5, SINCE)
    assert line["ends_at"] is None and line["consumer"] is None and wrongs(line) == []


@pytest.mark.parametrize(
    ("wall", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (951_782_400.25, "2000-02-29T00:00:00.250Z"),
    ],
)
def test_a_timestamp_is_rfc_3339_in_utc(wall: float, text: str) -> None:
    assert timestamp(wall) == text


def test_a_certificate_is_cut_and_harmless_like_all_that_others_write() -> None:
    call = ended(Outcome.EMPTY)
    assert "certificate" not in record_of(call, WALL, 126.5, SINCE)
    cast(Any, call.conn).certificate = "CN=\x1b" + "x" * 600
    assert record_of(call, WALL, 126.5, SINCE)["certificate"] == "CN=\\x1b" + "x" * 508


def test_a_record_has_the_columns_of_what_is_kept_of_it() -> None:
    assert set(Record.__struct_fields__) == set(COLUMNS)

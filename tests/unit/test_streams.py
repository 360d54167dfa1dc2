"""What is known of a stream of events: which answers are one, where a comment may stand, and what is due when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import NEVER
from gateway.outcome import Outcome
from gateway.shapes import Sse
from gateway.streams import HEARTBEAT, Stream, is_stream
from tests.kit.heads import response

EVENTS = {"Content-Type": "text/event-stream"}


@pytest.mark.parametrize(
    ("status", "media", "is_one"),
    [
        (200, "text/event-stream", True),
        (200, "text/event-stream; charset=utf-8", True),
        (200, "Text/Event-Stream;charset=UTF-8", True),
        (200, " text/event-stream ", True),
        (200, "text/event-streams", False),
        (200, "text/plain; x=text/event-stream", False),
        (200, "", False),
        (404, "text/event-stream", False),
        (500, "text/event-stream", False),
    ],
)
def test_a_stream_of_events_is_known_by_its_type_whatever_parameters_it_has(
    status: int, media: str, is_one: bool
) -> None:
    assert is_stream(response(status, {"Content-Type": media})) is is_one


def stream(sse: Sse | None = None, now: float = 0.0, length: int | None = None, **fields: str) -> Stream:
    return Stream(
        response(200, {**EVENTS, **{k.replace("_", "-"): v for k, v in fields.items()}}, length), sse, 60, now
    )


EOL = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.lists(st.sampled_from([b"data: x", b"", b"id: 7", b": note", b"event: a"]), max_size=12)


def dispatched(data: bytes) -> list[list[bytes]]:
    """The events of a stream as the standard has them parsed: comments ignored, an empty line ends one."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[list[bytes]] = [[]]
    for line in text.split(b"\n")[:-1]:
        if line.startswith(b":"):
            continue
        if line:
            events[-1].append(line)
        elif events[-1]:
            events.append([])
    return events


@given(
    st.tuples(LINES, EOL).map(lambda made: b"".join(line + made[1] for line in made[0])), st.lists(st.integers(0, 99))
)
def test_a_heartbeat_where_one_may_stand_changes_no_event_however_the_stream_was_cut(
    data: bytes, cuts: list[int]
) -> None:
    made, sent = stream(), b""
    marks = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for start, stop in zip([0, *marks[:-1]], marks, strict=True):
        made.came(data[start:stop], 0.0)
        sent += data[start:stop]
        if made.between:
            sent += HEARTBEAT
    assert dispatched(sent) == dispatched(data)


@pytest.mark.parametrize(
    ("data", "between"),
    [
        (b"", True),
        (b"data: 1\n\n", True),
        (b"data: 1\r\n\r\n", True),
        (b"data: 1\r\r", True),
        (b"data: 1\n", False),
        (b"data: 1\r\n", False),
        (b"data: 1", False),
        (b"\n\ndata", False),
    ],
)
def test_a_comment_may_stand_only_between_two_events(data: bytes, between: bool) -> None:
    for size in (1, 2, 3, 100):
        made = stream()
        for at in range(0, len(data), size):
            made.came(data[at : at + size], 0.0)
        assert made.between is between


def test_heartbeats_are_due_when_nothing_was_sent_and_silence_is_the_services_alone() -> None:
    made = stream(Sse(15.0, 40.0, NEVER))
    assert made.due == 15.0
    made.came(b"data: 1\n\n", 10.0)
    assert made.due == 25.0
    made.beat(25.0)
    made.beat(40.0)
    assert made.due == 50.0 and made.lives(49.9) and not made.lives(50.0)
    assert made.ending(50.0) == (Outcome.TRUNCATED, "body_idle")


@pytest.mark.parametrize("kept", [{"length": 100}, {"Content_Encoding": "gzip"}])
def test_nothing_is_added_to_a_stream_that_it_would_break(kept: dict[str, object]) -> None:
    assert stream(Sse(15.0, 60.0, NEVER), **kept).due == 60.0  # type: ignore[arg-type]


def test_a_client_that_takes_nothing_is_sent_nothing_but_its_stream_still_ends() -> None:
    made = stream(Sse(15.0, 40.0, NEVER))
    made.choked = True
    assert made.due == NEVER and made.lives(1e9)
    made.end_by(100.0, "token")
    assert made.due == 100.0 and not made.lives(100.0)
    made.go_on(90.0)
    assert made.due == 100.0 and made.lives(99.0)


@pytest.mark.parametrize(
    ("cause", "ending"),
    [
        ("token", (Outcome.EXPIRED, None)),
        ("max_time", (Outcome.EXPIRED, "max_time")),
        ("drain", (Outcome.DRAINED, None)),
    ],
)
def test_a_stream_ends_by_what_comes_first(cause: str, ending: tuple[Outcome, str | None]) -> None:
    made = stream()
    made.end_by(50.0, "later")
    made.end_by(30.0, cause)
    made.end_by(40.0, "later")
    assert made.due == 30.0 and made.ending(30.0) == ending

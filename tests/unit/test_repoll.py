"""Who comes back too soon after "no news" waits here, out of its own hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import pollers
from gateway.drain import Drain
from gateway.outcome import Outcome
from gateway.state.notes import Notes
from tests.kit.pollers import NEWEST, RULES, check_empty, crowd, kept, parked, poll, told


def test_who_comes_back_too_soon_after_no_news_waits_out_of_its_own_hold() -> None:
    them = crowd(min_repoll=4.0)
    poll(them).answered(b"", 204)
    them.loop.advance(1.0)
    soon = poll(them, timeout=25)
    assert kept(soon) and soon.call.evictable
    them.loop.advance(2.9)
    assert kept(soon)
    them.loop.advance(0.3)
    assert parked(soon) and soon.call.wait_sent == pytest.approx(22, abs=0.2)
    assert soon.call.waited == pytest.approx(3, abs=0.2)
    soon.answered()
    after_news = poll(them)
    assert parked(after_news)
    after_news.leave()
    check_empty(them)


@pytest.mark.parametrize("rule", ["many", *RULES])
@pytest.mark.parametrize("end", ["empty", "blank", "overrun", "evicted", "gone", "drained", "news"])
def test_only_after_no_news_anybody_has_to_wait(end: str, rule: str) -> None:
    them = crowd(rule, min_repoll=4.0)
    first = poll(them, timeout=2)
    if end in ("empty", "news"):
        first.answered(b"", 204) if end == "empty" else first.answered()
    elif end in ("blank", "overrun"):
        first.call.upstream_due = them.loop.now + (1e6 if end == "blank" else 0)
        them.loop.advance(7.1)
    elif end == "evicted":
        them.serve.on_evict(first.call)
    elif end == "gone":
        first.leave()
    else:
        now = them.loop.now
        them.serve.on_drain(first.call, Drain(now, now))
        them.loop.advance(0.1)
    assert first.over
    them.loop.turns(1)
    again, stranger = poll(them, timeout=25), poll(them, "y", timeout=25)
    assert kept(again) is (end in ("empty", "blank", "overrun"))
    assert parked(stranger)
    again.leave(), stranger.leave()
    check_empty(them)


@pytest.mark.parametrize(("answer", "outcome", "status"),
                         [("template", Outcome.BLANK, 200), ("origin", Outcome.RATE_LIMITED, 429)])  # fmt: skip
def test_a_hold_that_would_be_over_by_then(answer: str, outcome: Outcome, status: int) -> None:
    them = crowd(min_repoll=20.0, answer=answer)
    poll(them).answered(b"", 204)
    soon = poll(them, timeout=5)
    assert kept(soon), "an answer at once would be asked for again at once"
    them.loop.advance(10.1)
    assert told(soon) == (outcome, status) and soon.call.attempts == 0
    ((_, _, headers, *_),) = soon.conn.named("answer")
    after = int(dict(headers).get(b"Retry-After", 0))
    assert after == 0 if answer == "template" else after >= 9, "the rest of those 20 s"
    check_empty(them)


def test_a_poll_that_waits_so_gives_way_to_a_newer_one() -> None:
    them = crowd(NEWEST, min_repoll=4.0)
    poll(them).answered(b"", 204)
    them.loop.turns(1)
    older, newer = poll(them), poll(them)
    assert told(older) == (Outcome.SUPERSEDED, 409)
    them.loop.turns(2)
    assert kept(newer)
    them.loop.advance(4.1)
    assert parked(newer)
    newer.leave()
    check_empty(them)


def test_the_pollers_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pollers, "MOST_RESTING", 50)
    them = crowd(min_repoll=1000.0)
    for number in range(200):
        poll(them, f"s{number}").answered(b"", 204)
    assert len(them.limits.pollers._resting) <= 50
    assert kept(poll(them, "s199")) and parked(poll(them, "s0")), "the oldest are forgotten, in their favour"


def test_the_operator_ends_who_waits_so_also_where_we_may_not_say_no_news() -> None:
    them = crowd(min_repoll=20.0, answer="origin")
    poll(them).answered(b"", 204)
    soon = poll(them, timeout=25)
    assert kept(soon) and soon.call.evictable
    them.serve.on_evict(soon.call)
    assert told(soon) == (Outcome.EVICTED, 409)
    check_empty(them)


def test_who_comes_back_too_soon_to_another_worker_waits_there_too(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    first, other, stranger = (crowd(min_repoll=4.0) for _ in range(3))
    first.limits.pollers.notes = other.limits.pollers.notes = notes
    poll(first).answered(b"", 204)
    assert parked(poll(stranger)), "who shares nothing knows nothing"
    soon, somebody = poll(other), poll(other, "y")
    assert kept(soon) and parked(somebody)
    other.loop.advance(4.1)
    assert parked(soon) and soon.call.waited == pytest.approx(4, abs=0.2)
    notes.close()

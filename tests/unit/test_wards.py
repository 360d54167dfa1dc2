"""What an operator is told of endpoints in the process's own log: sentences, and few of them."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.clock import Timers
from gateway.upstream.standing import Event
from gateway.upstream.wards import Wards, sentence
from tests.kit.serving import HandLoop

EJECT = Event("eject", "up", "a:80", "upstream_reset", 3, 4, 30.0, 5, 1)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (EJECT, "upstream up: a:80 is ejected for 30s (upstream_reset); 3 of 4 take calls"),
        (
            Event("eject", "up", "a:80", "status 503", 3, 4, 120.0, 5, 3),
            "upstream up: a:80 is ejected for 120s (status 503), the 3. time in a row; 3 of 4 take calls",
        ),
        (
            Event("probe", "up", "a:80", "timeout", 0, 2),
            "upstream up: a:80 is taken out by its probes (timeout); 0 of 2 take calls",
        ),
        (
            Event("restore", "up", "a:80", "health", 2, 2),
            "upstream up: a:80 takes calls again (its probes keep it out no longer); 2 of 2 take calls",
        ),
        (
            Event("restore", "up", "a:80", "ejection", 2, 2),
            "upstream up: a:80 takes calls again (ejection is over); 2 of 2 take calls",
        ),
    ],
)
def test_an_event_is_a_sentence(event: Event, words: str) -> None:
    assert sentence(event) == words


def test_many_that_go_together_are_a_line_a_second_and_the_last_of_them_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop, kept = HandLoop(), list[Event]()
    wards = Wards(cast(Any, loop), Timers(cast(Any, loop)), kept.append)
    with caplog.at_level(logging.WARNING, "gateway"):
        for number in range(100):
            wards._say(replace(EJECT, endpoint=f"h{number}", taking=99 - number))
        loop.advance(60.0)
    assert len(kept) == 100, "each has its line in the call log"
    first, more, none = caplog.messages
    assert "h0 is ejected" in first and "before it" not in first
    assert "h99 is ejected" in more and more.endswith("(and 98 before it)")
    assert none == "upstream up: no endpoint is thought to be well, so calls go to all of them"

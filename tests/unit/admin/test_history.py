"""The last ten minutes: what is remembered of the tallies, for how long, and what it says of the last seconds."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gateway.admin import plots
from gateway.admin.history import EVERY, GROUPS, KEPT, History, group
from gateway.outcome import ENDINGS, Outcome
from gateway.telemetry.lag import Lag
from gateway.telemetry.tallies import RouteTally, Tallies


@pytest.fixture
def tallies() -> Tallies:
    found = Tallies(cast(Lag, None))
    found.routes["updates"] = RouteTally()
    return found


def end(tallies: Tallies, outcome: Outcome, times: int = 1, *, poll: bool = True) -> None:
    counts = tallies.routes["updates"].outcomes if poll else tallies.routes["updates"].calls
    counts[outcome] = counts.get(outcome, 0) + times


def test_every_ending_is_in_one_group_and_what_is_quiet_is_no_failure() -> None:
    found = {outcome: group(outcome) for outcome in Outcome}
    assert set(found.values()) == set(GROUPS)
    assert [one for one in Outcome if found[one] == "failed"] == [
        one for one in Outcome if ENDINGS[one].share == "error"
    ]
    assert found[Outcome.BLANK] == found[Outcome.EMPTY] == "no news"


def test_rates_are_of_the_last_seconds_and_tell_polls_from_ordinary_calls(tallies: Tallies) -> None:
    history = History(lambda: tallies)
    end(tallies, Outcome.NEWS, 1000)
    for step in range(5):
        history.sample(step * EVERY)
    end(tallies, Outcome.NEWS, 20)
    end(tallies, Outcome.NEWS, 40, poll=False)
    rates = {(one.route, one.outcome, one.poll): one.per_second for one in history.rates(4 * EVERY)}
    assert rates == {("updates", Outcome.NEWS, True): 2.0, ("updates", Outcome.NEWS, False): 4.0}


def test_nothing_is_divided_by_nothing(tallies: Tallies) -> None:
    history = History(lambda: tallies)
    end(tallies, Outcome.NEWS)
    assert history.rates(0.0)[0].per_second == 1.0
    history.sample(0.0)
    history.sample(0.0)
    assert history.rates(0.0) == []
    assert all(len(values) == KEPT for _, values in history.series())


def test_ten_minutes_are_kept_and_no_more(tallies: Tallies) -> None:
    history = History(lambda: tallies)
    history.sample(0.0)
    assert {value for _, values in history.series() for value in values} == {None}
    for step in range(1, 3 * KEPT):
        end(tallies, Outcome.EMPTY, step)
        history.sample(step * EVERY)
    series = dict(history.series())
    assert list(series) == list(GROUPS) and len(series["no news"]) == KEPT
    assert series["no news"][-1] == (3 * KEPT - 1) / EVERY
    assert set(series["news"]) == {0.0}


def test_what_a_reload_made_forgotten_is_no_call_taken_back(tallies: Tallies) -> None:
    history = History(lambda: tallies)
    end(tallies, Outcome.NEWS, 100)
    history.sample(0.0)
    del tallies.routes["updates"]
    history.sample(EVERY)
    assert dict(history.series())["news"][-1] == 0.0 and history.rates(EVERY) == []
    tallies.routes["updates"] = RouteTally()
    end(tallies, Outcome.NEWS, 3)
    assert history.rates(EVERY) == [], "a route that is there again has not ended fewer than none"


async def test_the_question_for_the_plots_has_a_label_for_every_value(tallies: Tallies) -> None:
    history = History(lambda: tallies)
    for _ in range(450):
        tallies.routes[f"r{_}"] = tally = RouteTally()
        tally.news.record(0.0003)
    asked = cast("list[dict[str, list[object]]]", plots.shaped(await plots.gather(history, tallies))["figures"])
    for figure in asked:
        assert all(len(values) == len(figure["labels"]) for _, values in figure["series"])  # type: ignore[misc]
    assert asked[2]["series"][0][1][2] == 450  # type: ignore[index]
    assert asked[1]["series"] == [], "nothing was held"


async def test_it_samples_itself_until_it_is_stopped(tallies: Tallies, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.admin.history.EVERY", 0.001)
    history = History(lambda: tallies)
    history.start()
    while len(history._points) < 5:
        await asyncio.sleep(0)
    history.stop()
    seen = len(history._points)
    await asyncio.sleep(0.02)
    assert len(history._points) == seen

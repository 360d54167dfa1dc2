"""Starvation advice: none on healthy days, exactly the right one on each sick day, with its numbers and a remedy."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.past import advice
from gateway.past.advice import advice_for, advise
from gateway.past.signs import Ended, Loop, Refused, Served, Signs, Slot
from gateway.past.source import asked
from gateway.past.when import Window
from tests.kit import history
from tests.kit.sick_days import NOON, SICK, WELL, Record, call, poll, write


def advised(log: Path) -> list[dict[str, Any]]:
    return asked(log, Window(), advise)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("calls", [500, 20_000])
def test_a_healthy_day_needs_no_advice(tmp_path: Path, calls: int, seed: int) -> None:
    history.write_parquet(tmp_path, history.Day(calls, seed=seed))
    assert advised(tmp_path / "calls.jsonl") == []


@pytest.mark.parametrize("kind", WELL)
def test_habits_that_look_strange_are_not_taken_for_sick(tmp_path: Path, day: Path, kind: str) -> None:
    beside(tmp_path, day)
    write(tmp_path / "calls.jsonl", WELL[kind]())
    assert advised(tmp_path / "calls.jsonl") == []


def beside(folder: Path, day: Path) -> None:
    """The healthy day lies in this folder, too."""
    for each in day.parent.glob("*.parquet"):
        folder.joinpath(each.name).hardlink_to(each)


EXPECTED = {
    "one_slot": ("one_slot", "consumer runner has one slot and spends it on route feed: 99 % of its time; 286 other calls "
                 "began only when a poll had ended in no news", "let this client poll on a connection or worker of its own"),
    "capped_slot": ("one_slot", "consumer kiosk has one slot and spends it on route feed: 100 % of its time; 35 calls were "
                    "kept out by a cap", "raise the max of the cap that refuses it"),
    "tight_loop": ("tight_loop", "3 clients of route feed re-poll up to 10.0 times a second in vain: mostly empty after 4 ms",
                   "the service says no news at once instead of holding"),
    "edge_cut": ("edge_cut", "polls of route feed are cut by the edge in front at 30.01 s: 133 of 133 that lasted so long "
                 "ended in client_gone then", 'set server.front = "30s"'),
    "tight_limit": ("refused", "the rate limit of route feed refuses 25 % of its calls, of 5 clients", "the rate limit is too tight"),
    "greedy_client": ("refused", "the rate limit of route feed refuses 25 % of its calls, nearly all of client greedy",
                      "ask client greedy to call less often"),
    "evictions": ("evictions", "34 % of the polls of route feed are ended to make room for others", "raise the max of its hold_cap"),
    "overruns": ("overruns", "33 % of the polls of route feed on endpoint 10.9.0.1:5000 outlast the hold the service was told",
                 "see that the service honours the hold"),
    "clamped": ("clamped", "100 % of the polls of route feed get 45 s of the 90 s they ask for: the max of its hold policy", "raise max"),
    "short_tokens": ("short_tokens", "50 % of the polls of route feed are cut short by the end of their token",
                     "let the issuer give tokens that last much longer"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SICK)
def test_a_sick_day_gets_its_advice_and_no_other(tmp_path: Path, day: Path, kind: str) -> None:
    beside(tmp_path, day)
    write(tmp_path / "calls.jsonl", SICK[kind]())
    (found,) = advised(tmp_path / "calls.jsonl")
    name, text, remedy = EXPECTED[kind]
    assert (found["kind"], found["text"]) == (name, text)
    assert found["do"].startswith(remedy)
    assert found["route"] == "feed"
    assert found["numbers"]


def test_the_numbers_are_those_the_sentence_rests_on(tmp_path: Path) -> None:
    write(tmp_path / "calls.jsonl", SICK["edge_cut"]())
    (found,) = advised(tmp_path / "calls.jsonl")
    assert found["numbers"] == {"at": 30.0, "cut": 133, "lasted": 133}


SERVED = Served("r", "e", 1000, 0, 0, 1000, {"max": 0, "front": 0, "token": 0})
SLOT = Slot("c", "r", 3, 0.95, 40, 20, 0, 0)
LOOP = Loop("r", 1, "c", 60, 60, "empty", 0.01, 25.0)
REFUSED = Refused("r", 2000, 100, 0, 5, "c", 30)
USUAL = tuple(Ended("r", step, 9, 3, step / 2, True) for step in range(40))  # 120 leave in 30 s, four in each
BORDERS: list[tuple[str, Signs, Signs]] = [
    ("one_slot", Signs(slots=(SLOT,)), Signs(slots=(replace(SLOT, behind=19),))),
    ("one_slot", Signs(slots=(replace(SLOT, behind=0, starved=20),)), Signs(slots=(replace(SLOT, overlaps=1),))),
    ("tight_loop", Signs(loops=(LOOP,)), Signs()),
    ("refused", Signs(refused=(REFUSED,)), Signs(refused=(replace(REFUSED, rate_limited=99),))),
    ("refused", Signs(refused=(REFUSED,)), Signs(refused=(replace(REFUSED, calls=2001),))),
    ("evictions", Signs(served=(replace(SERVED, evicted=100),)), Signs(served=(replace(SERVED, evicted=99),))),
    ("evictions", Signs(served=(replace(SERVED, polls=100, evicted=50),)), Signs(served=(replace(SERVED, polls=100, evicted=49),))),
    ("overruns", Signs(served=(replace(SERVED, overruns=50),)), Signs(served=(replace(SERVED, overruns=49),))),
    ("short_tokens", Signs(served=(replace(SERVED, clamped={**SERVED.clamped, "token": 100}),)),
     Signs(served=(replace(SERVED, clamped={**SERVED.clamped, "token": 99}),))),
    ("clamped", Signs(served=(replace(SERVED, clamped={**SERVED.clamped, "front": 500}),), asked={("r", "front"): (90.0, 57.0)}),
     Signs(served=(replace(SERVED, clamped={**SERVED.clamped, "front": 499}),), asked={("r", "front"): (90.0, 57.0)})),
    ("edge_cut", Signs(ended=(Ended("r", 60, 20, 20, 30.1, True), Ended("r", 70, 20, 0, None, False))),
     Signs(ended=(Ended("r", 60, 20, 20, 30.1, True), Ended("r", 70, 21, 0, None, False)))),
    ("edge_cut", Signs(ended=(*USUAL, Ended("r", 60, 20, 20, 30.1, True))),
     Signs(ended=(*USUAL, Ended("r", 50, 9, 1, 25.1, False), Ended("r", 60, 20, 20, 30.1, True)))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sick", "well"), BORDERS)
def test_thresholds_are_where_they_are_said_to_be(kind: str, sick: Signs, well: Signs) -> None:
    assert [each.kind for each in advice_for(sick)] == [kind]
    assert advice_for(well) == []


def worker(cycles: int, gap: float = 0.01, rest: float = 0.05) -> Iterator[Record]:
    """Polls, and so long after the end of each a job, and then a rest."""
    at = NOON
    for _ in range(cycles):
        yield poll(at, "feed", "empty", 24.999, consumer="runner")
        at += timedelta(seconds=25 + gap)
        yield call(at, "builds", "answered", took=0.2, consumer="runner")
        at += timedelta(seconds=0.2 + rest)


def loop(polls: int, held: float = 0.1) -> Iterator[Record]:
    """So many in a minute."""
    return (
        poll(NOON + timedelta(seconds=number * 0.9), "feed", "empty", held, consumer="c") for number in range(polls)
    )


@pytest.mark.parametrize(
    ("kind", "sick", "well"),
    [
        ("one_slot", worker(24), worker(23)),  # seen for ten minutes, and not quite
        ("one_slot", worker(60, rest=5.8), worker(60, rest=6.8)),  # 80 % of its time
        ("one_slot", worker(60, gap=0.9), worker(60, gap=1.1)),  # only when the poll had ended
        ("one_slot", worker(60, gap=-0.05), worker(60, gap=-0.15)),  # two things at once, more than clocks differ
        ("tight_loop", loop(60), loop(59)),
        ("tight_loop", loop(60, 0.99), loop(60, 1.0)),  # over within a second
    ],
)
def test_signs_are_seen_where_they_are_said_to_begin(
    tmp_path: Path, kind: str, sick: Iterator[Record], well: Iterator[Record]
) -> None:
    write(tmp_path / "sick.jsonl", sick)
    write(tmp_path / "well.jsonl", well)
    assert [each["kind"] for each in advised(tmp_path / "sick.jsonl")] == [kind]
    assert advised(tmp_path / "well.jsonl") == []


@pytest.mark.parametrize(("most", "consumer"), [(80, "c"), (79, None)])
def test_a_limit_is_one_clients_matter_when_that_meets_it_nearly_alone(most: int, consumer: str | None) -> None:
    (found,) = advice_for(Signs(refused=(replace(REFUSED, most_count=most),)))
    assert found.consumer == consumer


def test_clients_that_loop_on_a_refusal_are_told_once_and_as_a_loop() -> None:
    (found,) = advice_for(Signs(loops=(replace(LOOP, outcome="rate_limited"),), refused=(REFUSED,)))
    assert found.kind == "tight_loop"
    assert found.do.startswith("the clients do not wait for Retry-After")


@pytest.mark.parametrize(
    ("outcome", "granted", "remedy"),
    [
        ("empty", 0.0, "the clients ask for no hold"), ("empty", 25.0, "the service says no news at once"),
        ("capped", None, "the clients do not wait for Retry-After"), ("conflict", None, "several clients poll under one name"), ("forbidden", None, "the clients go on with a token"),
        ("upstream_refused", 25.0, "let the clients back off after an error"),
    ],
)  # fmt: skip
def test_a_loop_is_remedied_by_its_cause(outcome: str, granted: float | None, remedy: str) -> None:
    (found,) = advice_for(Signs(loops=(replace(LOOP, outcome=outcome, granted=granted),)))
    assert found.do.startswith(remedy)


def test_a_cut_on_the_border_of_two_steps_is_one_cut() -> None:
    (found,) = advice_for(Signs(ended=(Ended("r", 59, 30, 30, 29.99, True), Ended("r", 60, 30, 30, 30.01, True))))
    assert found.numbers == {"at": 30.0, "cut": 60, "lasted": 60}


def test_every_rule_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "past.md").read_text("utf-8")
    kinds = {rule.__name__ for rule in advice.RULES}
    assert {kind for kind in kinds if f"`{kind}`" in page} == kinds

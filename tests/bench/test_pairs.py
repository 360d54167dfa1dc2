"""What wakes in pairs must not get wrong: which of two ratios a bar is about, what was not measured, who of the two
failed, and that both are really woken.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from .measure import Figures, Scale
from .peers import comparing
from .peers.bars import BARS, PAIRED, Bar
from .peers.comparing import Comparison, compare
from .peers.gateway import GATEWAY, NAIVE
from .peers.judging import by_turn, reached
from .peers.machine import Machine
from .peers.page import write
from .peers.pairs import FailedError, Pair, paired
from .peers.report import report
from .peers.tables import as_text, bars
from .process import MeasureError

TINY = Scale(polls=20, pair_wakes=2)
FEWER = Bar("", "wake_us", "nginx", 1.3, paired=True)
BEATEN = Bar("", "wake_us", "nginx", 2.5, beaten=True, paired=True)
DEAD = ["false"]


def pair(*each: tuple[float, float]) -> Pair:
    """A run in which the two took so long."""

    def wakes(of: list[float]) -> list[Figures]:
        return [{"wake_us": one, "wake_all": 2 * one} for one in of]

    return Pair(wakes([ours for ours, _ in each]), wakes([theirs for _, theirs in each]))


def compared() -> Comparison:
    """Three runs, on a machine that was ten times slower for a while."""
    runs = [
        pair((10.0, 10.0), (120.0, 100.0), (20.0, 10.0)),
        pair((20.0, 10.0)),
        pair((10.0, 20.0), (10.0, 20.0), (40.0, 10.0)),
    ]
    alone: list[Figures] = [{"wake_us": 50.0, "wake_all": 50.0}]
    return Comparison(turns={"gateway": alone, "nginx": [{"wake_us": 10.0, "wake_all": 10.0}]}, pairs={"nginx": runs})


def test_a_turn_is_the_median_of_its_pairs_and_the_bar_that_of_the_turns() -> None:
    assert by_turn(FEWER, compared()) == [1.2, 2.0, 0.5]
    assert reached(FEWER, compared()) == 1.2


def test_a_bar_to_be_beaten_is_about_what_the_peer_takes_of_the_gateways() -> None:
    assert by_turn(BEATEN, compared()) == [100 / 120, 0.5, 2.0]
    assert reached(BEATEN, compared()) == 100 / 120


def test_the_table_of_bars_takes_wakes_from_pairs_and_no_others() -> None:
    lines = as_text(bars(compared())).splitlines()
    of_nginx = [line for line in lines if "per wake, of nginx" in line or "last is answered" in line]
    assert [line.split()[-3:] for line in of_nginx] == [["1.20,", "2.00,", "0.50"]] * 2
    assert all("1.20x" in line and " ok" in line for line in of_nginx)


def test_wakes_that_were_not_measured_in_pairs_are_not_measured() -> None:
    done = compared()
    done.pairs.clear()
    rows = [row for row, bar in zip(bars(done)[1:], BARS, strict=True) if bar.paired]
    assert len(rows) == 3
    assert all((row[1], row[3], row[5]) == ("-", "not measured in pairs", "") for row in rows)


def test_who_has_a_bar_about_wakes_is_woken_beside_the_gateway() -> None:
    assert sorted(PAIRED) == ["naive", "nginx"]
    assert all(bar.paired == bar.key.startswith("wake_") for bar in BARS)


def test_the_page_says_how_wakes_are_compared_even_if_nothing_else_was(tmp_path: Path) -> None:
    done = compared()
    done.peers["gateway"] = GATEWAY
    write(tmp_path / "figures.md", done, Scale(), 3, Machine(0.5, (80.0, 81.0)))
    page = (tmp_path / "figures.md").read_text()
    assert "woken in turn, 16 times each, because a shared machine drifts" in page


async def test_the_gateway_and_a_peer_are_woken_in_turn(tmp_path: Path) -> None:
    done = await compare(["gateway", "naive"], ["pairs"], TINY, 1, quick=True)
    (run,) = done.pairs["naive"]
    assert [wake["woken"] for wake in run.ours] == [wake["woken"] for wake in run.theirs] == [20, 20]
    assert not done.turns and not done.absent and set(done.told) == {"gateway", "naive"}
    of_naive = next(bar for bar in BARS if bar.paired and bar.peer == "naive")
    assert reached(of_naive, done)
    report(done, TINY, 1, Machine(0.5, (80.0, 81.0)), tmp_path / "figures.json", None)
    assert '"theirs"' in (tmp_path / "figures.json").read_text()


async def test_a_peer_that_fails_beside_the_gateway_leaves_with_what_it_gave_before() -> None:
    dead = replace(NAIVE, command=lambda *_: DEAD)
    done = Comparison({"gateway": GATEWAY, "naive": dead}, pairs={"naive": [pair((1.0, 1.0))]})
    await comparing._pair(done, "naive", TINY)
    assert list(done.peers) == ["gateway"] and not done.pairs
    assert done.absent[0].startswith("naive failed under the load (pairs): naive ended with 1")


async def test_there_are_no_pairs_without_the_gateway() -> None:
    dead = replace(GATEWAY, command=lambda *_: DEAD)
    done = Comparison({"gateway": dead, "naive": NAIVE})
    with pytest.raises(MeasureError, match=r"gateway failed under the load \(pairs\)"):
        await comparing._pair(done, "naive", TINY)


async def test_a_wake_that_does_not_answer_everybody_fails_its_own_side(monkeypatch: pytest.MonkeyPatch) -> None:
    async def half(*_: object) -> Figures:
        return {"woken": 10}

    monkeypatch.setattr("tests.bench.peers.pairs.wake", half)
    with pytest.raises(FailedError, match="of 20 polls 10 were answered") as failed:
        await paired(NAIVE, replace(NAIVE, name="other"), TINY, {})
    assert failed.value.name == "naive"

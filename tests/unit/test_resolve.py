"""Names and where they are: which addresses are endpoints, when a name is looked up again, and what is known of it
while its look-ups fail or hang. The resolver is a script; its threads are real.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.addresses import is_name
from gateway.upstream.resolve import JITTER, RETRY, Name, Names, places
from tests.kit.names import Script
from tests.kit.waiting import until

WALL = 1_700_000_000.0
LONG = 3600.0


@contextlib.asynccontextmanager
async def looking(script: Script, patience: float = 60.0) -> AsyncIterator[tuple[Names, list[str]]]:
    """Names, and those of them that have moved."""
    names, moved = Names(script, lambda: WALL, patience), list[str]()
    names.changed = moved.append
    try:
        yield names, moved
    finally:
        names.close()
        script.go()


# -- where a name is ---------------------------------------------------------------------------------------------------

PLACES: list[tuple[list[str], list[tuple[str, ...]]]] = [
    ([], []),
    (["10.0.0.2", "10.0.0.1", "10.0.0.2"], [("10.0.0.1",), ("10.0.0.2",)]),
    (["10.0.0.10", "10.0.0.9"], [("10.0.0.9",), ("10.0.0.10",)]),
    (["2001:db8::2", "2001:DB8:0::1"], [("2001:db8::1",), ("2001:db8::2",)]),
    (["::1", "127.0.0.1"], [("127.0.0.1", "::1")]),
    (["::1", "10.0.0.1", "10.0.0.2", "::2"], [("10.0.0.1", "::1"), ("10.0.0.2", "::2")]),
    (["::1", "10.0.0.1", "10.0.0.2"], [("10.0.0.1", "::1"), ("10.0.0.2", "::1")]),
]


@pytest.mark.parametrize(("found", "expected"), PLACES)
def test_every_address_of_the_preferred_family_is_a_place(found: list[str], expected: list[tuple[str, ...]]) -> None:
    assert places(found) == tuple(expected)


@given(st.lists(st.ip_addresses().map(str)), st.randoms())
def test_the_order_of_an_answer_changes_nothing(found: list[str], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert places(found) == places(shuffled)
    first = [place[0] for place in places(found)]
    family = 4 if any(":" not in each for each in found) else 6
    assert set(first) == {each for each in found if ipaddress.ip_address(each).version == family}


@pytest.mark.parametrize(
    ("host", "looked_up"),
    [("api.internal", True), ("db", True), ("localhost", False), ("LOCALHOST", False), ("10.0.0.1", False),
     ("::1", False), ("fe80::1%eth0", False), ("app.localhost", True)],
)  # fmt: skip
def test_only_names_are_looked_up(host: str, looked_up: bool) -> None:
    assert is_name(host) == looked_up


@given(st.floats(0.001, 86_400), st.integers(0, 5000))
def test_a_name_is_looked_up_again_within_its_refresh_and_sooner_after_a_failure(refresh: float, row: int) -> None:
    name = Name("api.test")
    name.refresh, name.row = refresh, row
    longest = min(refresh, RETRY * 2 ** min(row - 1, 10)) if row else refresh
    assert longest * (1 - JITTER) <= name.pause() <= longest


# -- looking it up -----------------------------------------------------------------------------------------------------


async def test_asking_waits_for_what_is_not_known_and_not_for_what_is() -> None:
    script = Script(a_test=["10.0.0.1"], b_test=["10.0.0.2"])
    async with looking(script) as (names, moved):
        await names.ask(["a.test", "b.test"], LONG)
        assert (names.at("a.test"), names.at("b.test")) == ((("10.0.0.1",),), (("10.0.0.2",),))
        names.follow({"a.test": LONG, "b.test": LONG})
        await names.ask(["a.test", "b.test"], LONG)
        assert script.asked == {"a.test": 1, "b.test": 1}
        assert sorted(moved) == ["a.test", "b.test"]


async def test_asking_gives_up_on_a_look_up_that_hangs_and_takes_its_answer_all_the_same() -> None:
    script = Script(a_test=["10.0.0.1"])
    script.stalled.add("a.test")
    async with looking(script, patience=0.02) as (names, moved):
        await names.ask(["a.test"], LONG)
        name = names.known["a.test"]
        assert (name.failure, name.failed, name.failed_at) == ("no answer in 0.02s", 1, WALL)
        script.go()
        await until(lambda: moved == ["a.test"])
        assert (name.places, name.failure, name.ok, name.failed) == ((("10.0.0.1",),), None, 1, 1)


async def test_a_look_up_that_hangs_and_then_fails_has_failed_once() -> None:
    script = Script()
    script.stalled.add("a.test")
    async with looking(script, patience=0.02) as (names, _):
        await names.ask(["a.test"], LONG)
        script.go()
        await until(lambda: not names.known["a.test"].looking)
        assert names.known["a.test"].failed == 1


@pytest.mark.parametrize("found", [[], ["no address"], ["10.0.0.1", "x"]])
async def test_an_answer_without_addresses_is_a_failure(found: list[str]) -> None:
    script = Script(a_test=["10.0.0.1"])
    async with looking(script) as (names, _):
        await names.ask(["a.test"], LONG)
        script.at["a.test"] = found
        names.follow({"a.test": 0.01})
        await until(lambda: names.known["a.test"].failed)
        assert names.at("a.test") == (("10.0.0.1",),)


async def test_a_name_that_nobody_follows_any_more_is_not_looked_up_again_nor_twice_at_once() -> None:
    script = Script(a_test=["10.0.0.1"], b_test=["10.0.0.1"])
    async with looking(script) as (names, _):
        names.follow({"a.test": 0.01, "b.test": 0.01})
        await until(lambda: script.asked["a.test"] > 2)
        script.stalled.add("a.test")
        await until(lambda: script.now["a.test"])
        for _ in range(20):
            names.follow({"b.test": 0.01})
            names.follow({"a.test": 0.01, "b.test": 0.01})
        names.follow({"b.test": 0.01})
        script.go()
        await until(lambda: "a.test" not in names.known)
        asked = script.asked["a.test"]
        before = script.asked["b.test"]
        await until(lambda: script.asked["b.test"] > before + 3)
        assert (script.asked["a.test"], script.most["a.test"]) == (asked, 1)

"""Pages of what several workers hold: what one process would list, in its order, and whom of all an operator ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.listing import SORTS, Page, page, read_listing, told
from gateway.call import Call
from gateway.machine.admin.rows import cut, one_page, read_page
from tests.unit.admin.test_listing import FILTERS, NOW, VALUES, held, ids, run


def ask(workers: Sequence[Sequence[Call]], asked: dict[str, Any]) -> dict[str, Any]:
    """The page of all, as it comes from their sockets."""
    wanted = read_listing(asked)

    async def pages() -> list[Page]:
        found = [await page(calls, wanted, lambda: NOW) for calls in workers]
        return [read_page(orjson.loads(orjson.dumps(each._asdict()))) for each in found]

    return told(one_page(run(pages()), wanted.limit, wanted.sort.startswith("-")), wanted.sort)


@given(
    sort=st.sampled_from([sign + name for name in SORTS for sign in ("", "-")]), chosen=FILTERS,
    calls=st.lists(st.tuples(st.integers(0, 2), VALUES), max_size=25), limit=st.integers(1, 7),
)  # fmt: skip
def test_the_pages_of_several_are_those_of_one(
    sort: str, chosen: dict[str, Any], calls: list[tuple[int, dict[str, Any]]], limit: int
) -> None:
    everybody = [held(number, **values) for number, (_, values) in enumerate(calls)]
    workers = [[call for call, (at, _) in zip(everybody, calls, strict=True) if at == worker] for worker in range(3)]
    asked: dict[str, Any] = {"sort": sort, "limit": limit, **chosen}
    while True:
        whole, parts = ask([everybody], asked), ask(workers, asked)
        assert ids(parts) == ids(whole)
        assert {**parts, "calls": []} == {**whole, "calls": []}
        if whole["next"] is None:
            break
        asked["cursor"] = whole["next"]


def row(at: float) -> tuple[tuple[bool, float, str], dict[str, object]]:
    return (False, at, f"{at:g}"), {"id": f"{int(at):x}"}


def test_nobody_is_passed_over_where_a_worker_has_more_than_it_could_list() -> None:
    """The first one's page is short: calls ended while it was made. Behind its last row there may be others."""
    short = Page(9, 9, [row(1), row(3)], (False, 4.0, "4"))
    whole = Page(9, 9, [row(at) for at in (2, 5, 6, 7)], None)
    found = one_page([short, whole], 4, down=False)
    assert [key[1] for key, _ in found.rows] == [1, 2, 3]
    assert found.last == (False, 4.0, "4")
    down = one_page([Page(2, 2, [row(9)], (False, 8.0, "8")), Page(1, 1, [row(7)], None)], 4, down=True)
    assert [key[1] for key, _ in down.rows] == [9] and down.last == (False, 8.0, "8")


def test_a_page_on_which_all_have_ended_has_a_next_one() -> None:
    found = one_page([Page(9, 9, [], (False, 4.0, "4"))], 4, down=False)
    assert told(found, "since")["next"] is not None


def test_a_page_of_nobody_is_empty() -> None:
    assert one_page([], 4, down=True) == Page(0, 0, [], None)


BEGUN = st.dictionaries(st.integers(0, 3), st.lists(st.integers(0, 6).map(float), max_size=8).map(sorted), max_size=4)


@given(begun=BEGUN, limit=st.one_of(st.none(), st.integers(0, 20)))
def test_the_longest_held_of_all_are_those_that_are_ended(begun: dict[int, list[float]], limit: int | None) -> None:
    found = cut(begun, limit)
    # what a worker does with it: its oldest, as many as that, none that began later
    ended = [at for number, share in found.shares.items() for at in begun[number][:share] if at <= found.begun_by]
    everybody = sorted(at for some in begun.values() for at in some)
    assert sorted(ended) == everybody[:limit]


@pytest.mark.parametrize("limit", [0, 1, 10_000])
def test_thousands_are_cut_in_no_time(limit: int) -> None:
    begun = {worker: [float(at * 4 + worker) for at in range(4000)] for worker in range(4)}
    assert sum(cut(begun, limit).shares.values()) == min(limit, 16_000)

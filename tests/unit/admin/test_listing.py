"""The list of what is held: what may be asked, what order it has, and pages that neither repeat nor skip anybody while
polls come and go.
"""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.choice import Choice, matcher
from gateway.admin.ending import choose, read_selection
from gateway.admin.listing import SORTS, Cursor, Listing, page, read_listing, told, written
from gateway.admin.live import SLICE
from gateway.call import Call, State
from gateway.clock import NEVER
from gateway.config.problems import ConfigError
from gateway.identity.claims import Identity
from tests.kit.calls import call_of, head_of
from tests.kit.serving import Scene

NOW = 100.0
T = TypeVar("T")


def problems(**given: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_listing(given)
    return str(caught.value).splitlines()


def cursor(*parts: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


BAD = 'query: cursor: is none that was given here; write the "next" of the page before, or leave it out'


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"rute": "x"}, "query: rute: unknown key; did you mean 'route'?"),
        ({"all": True}, "query: all: unknown key; write one of: consumer, cursor, endpoint, id, limit, older_than, peer, poll, q, route, sort, state, tenant"),
        ({"route": ""}, "query: route: is empty; write a value, or leave it out"),
        ({"q": ""}, "query: q: is empty; write a value, or leave it out"),
        ({"state": "held"}, 'query: state: is none of the values it can have; write "waiting", "parked", "relaying" or "tunnelling"'),
        ({"poll": "yes"}, "query: poll: is of the wrong kind; write true or false"),
        ({"older_than": "20"}, 'query: older_than: "20" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ({"limit": 0}, "query: limit: must be at least 1; write 1"),
        ({"limit": 1001}, "query: limit: must be at most 1000; write 1000"),
        ({"limit": "x"}, "query: limit: is of the wrong kind; write a whole number, such as limit = 100"),
        ({"sort": "age"}, f'query: sort: is nothing to sort by; write one of {", ".join(SORTS)}, or "-" and one for the other way round'),
        ({"sort": "--since"}, f'query: sort: is nothing to sort by; write one of {", ".join(SORTS)}, or "-" and one for the other way round'),
        ({"cursor": cursor("route", "a", "b")}, "query: cursor: belongs to another sort; write sort=route, or leave the cursor out"),
    ],
)  # fmt: skip
def test_a_list_that_cannot_be_meant_is_refused(given: dict[str, object], line: str) -> None:
    assert problems(**given) == [line]


@pytest.mark.parametrize(
    "text",
    ["", "x", "%", "\ud800", "é", "W10", cursor(), cursor("age", 1, "x"), cursor("-since", "1", "x"), cursor("-since", 1, 2),
     cursor("-since", True, "x"), cursor("route", 7, "x"), cursor(["route"], "a", "x"), cursor({}, {}, {}), "W1tb" * 2000],
)  # fmt: skip
def test_a_cursor_that_was_not_given_here_is_refused(text: str) -> None:
    assert problems(cursor=text) == [BAD]


@given(st.text(max_size=60))
def test_no_text_as_a_cursor_does_more_than_be_refused(text: str) -> None:
    assert problems(cursor=text) == [BAD]


def test_every_problem_is_told_at_once() -> None:
    assert len(problems(rute="x", limit="x", sort="x", cursor="x", state="x")) == 5


def held(number: int, **values: Any) -> Call:
    """A call that is parked; `values` replace its fields."""
    call = call_of(head_of(f"/updates/{number}"))
    call.id, call.state, call.started = f"{number:032x}", State.PARKED, float(number)
    for name, value in values.items():
        setattr(call, name, value)
    return call


def ask(calls: Sequence[Call | None], **asked: object) -> dict[str, Any]:
    wanted = read_listing(asked)
    return run(listed(calls, wanted, lambda: NOW))


async def listed(calls: Sequence[Call | None], wanted: Listing, now: Callable[[], float]) -> dict[str, Any]:
    return told(await page(calls, wanted, now), wanted.sort)


def run(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner() as runner:
        return runner.run(work)


def ids(found: dict[str, Any]) -> list[int]:
    return [int(call["id"], 16) for call in found["calls"]]


def test_the_longest_held_come_first_and_all_are_counted() -> None:
    calls = [held(3), None, held(1), held(2), held(4, state=State.SETTLED), held(5, state=State.RELAYING)]
    found = ask(calls, limit=2, older_than="1s")
    assert (ids(found), found["held"], found["matching"]) == ([1, 2], 3, 3)
    assert ask(calls, peer="192.0.2.8")["matching"] == 0


def test_a_page_as_long_as_a_slice_has_a_next_one() -> None:
    calls = [held(number) for number in range(2 * SLICE)]
    first = ask(calls, limit=SLICE)
    assert ids(first) == [*range(SLICE)]
    assert ids(ask(calls, limit=SLICE, cursor=first["next"])) == [*range(SLICE, 2 * SLICE)]


def test_who_has_no_value_comes_last_in_both_directions() -> None:
    calls = [held(1), held(2, deadline=50.0), held(3, deadline=NEVER), held(4, deadline=70.0)]
    assert ids(ask(calls, sort="ends_in")) == [2, 4, 1, 3]
    assert ids(ask(calls, sort="-ends_in")) == [4, 2, 3, 1]
    calls = [held(1), held(2, asked=float("inf")), held(3, asked=3.0)]
    assert ids(ask(calls, sort="hold_asked", limit=1)) == [3]
    rest = ask(calls, sort="hold_asked", limit=2, cursor=ask(calls, sort="hold_asked", limit=1)["next"])
    assert (ids(rest), rest["next"]) == ([1, 2], None)


def test_a_text_is_found_wherever_it_stands_and_in_any_case() -> None:
    calls = [held(1), held(2, peer="203.0.113.9"), held(3, identity=Identity("p", "Alice-Smith", "ACME"))]
    assert ids(ask(calls, q="ALICE")) == [3]
    assert ids(ask(calls, q="acme")) == [3]
    assert ids(ask(calls, q="203.0.113")) == [2]
    assert ids(ask(calls, q="/updates/1")) == [1]
    assert ids(ask(calls, q="parked")) == []
    assert ids(ask(calls, q="smithacme")) == [], "each field is a text of its own"


FILTERS = st.fixed_dictionaries({}, optional={
    "route": st.sampled_from(["updates", "other"]), "consumer": st.sampled_from(["a", "b", "c"]),
    "tenant": st.sampled_from(["t", "u"]), "peer": st.sampled_from(["192.0.2.7", "192.0.2.8"]),
    "state": st.sampled_from(["waiting", "parked"]), "poll": st.booleans(), "older_than": st.sampled_from(["0s", "3s"]),
    "q": st.sampled_from(["a", "UPD", "192", "zzz"]),
})  # fmt: skip


@given(chosen=FILTERS)
def test_what_is_listed_is_what_would_be_ended(chosen: dict[str, Any]) -> None:
    """The same words mean the same calls: those that may be told "no news" end, the others are counted."""
    scenes = [Scene(kind) for kind in ("template", "origin", "template", "ordinary", "template")]
    calls = [scene.open().call for scene in scenes]
    for number, call in enumerate(calls):
        call.started, call.id = -float(number), str(number)
        call.identity = Identity("p", "ab"[number % 2], "t" if number < 3 else None)
    calls[0].state = State.WAITING
    found = run(listed(calls, read_listing(chosen), lambda: 0.0))
    ended, others = run(choose(calls, read_selection(chosen or {"all": True}), 0.0))
    assert {call.id for call in ended} == {call["id"] for call in found["calls"] if call["endable"]}
    assert len(ended) + others == found["matching"]


VALUES = st.fixed_dictionaries({
    "started": st.integers(0, 5).map(float), "deadline": st.sampled_from([NEVER, 1.0, 2.0, 3.0]),
    "peer": st.sampled_from(["a", "b", "ü"]), "asked": st.sampled_from([None, 0.0, 25.0]),
    "identity": st.sampled_from([None, Identity("p", "a"), Identity("p", "b", "t")]),
})  # fmt: skip


@given(
    sort=st.sampled_from([sign + name for name in SORTS for sign in ("", "-")]),
    first=st.lists(VALUES, max_size=20), come=st.lists(VALUES, max_size=20), limit=st.integers(1, 7), data=st.data(),
)  # fmt: skip
def test_pages_neither_repeat_nor_skip_anybody_while_polls_come_and_go(
    sort: str, first: list[dict[str, Any]], come: list[dict[str, Any]], limit: int, data: st.DataObject
) -> None:
    calls = [held(number, **values) for number, values in enumerate(first)]
    later = [held(100 + number, **values) for number, values in enumerate(come)]
    stay, seen, after = set(range(len(first))), list[int](), None
    while True:
        asked = {"sort": sort, "limit": limit} | ({"cursor": after} if after is not None else {})
        found = ask(calls, **asked)
        assert len(found["calls"]) <= limit
        seen += ids(found)
        after = found["next"]
        if after is None:
            break
        for call in data.draw(st.lists(st.sampled_from(calls), max_size=3)):
            call.state = State.SETTLED
            stay.discard(int(call.id, 16))
        calls = data.draw(st.permutations(calls + later[:2]))
        later = later[2:]
    assert len(seen) == len(set(seen)), "nobody twice"
    assert stay <= set(seen), "nobody who stayed is missing"


async def test_who_leaves_while_the_page_is_made_is_not_in_it() -> None:
    calls = [held(number) for number in range(3 * SLICE)]
    working = asyncio.ensure_future(listed(calls, read_listing({"limit": 3}), lambda: NOW))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls[1].state = State.SETTLED
    found = await working
    assert ids(found) == [0, 2]
    assert found["next"] is not None, "there is more behind it, although the page is short"


async def test_others_have_their_turns_while_thousands_are_looked_through() -> None:
    calls = [held(number) for number in range(8000)]
    working, turns = asyncio.ensure_future(listed(calls, read_listing({"q": "updates"}), lambda: NOW)), 0
    while not working.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 8000 / SLICE
    assert (await working)["matching"] == 8000


def test_a_cursor_is_text_for_an_address() -> None:
    text = written(Cursor("-peer", "ü?&/+", "x"))
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()
    assert read_listing({"sort": "-peer", "cursor": text}).cursor == Cursor("-peer", "ü?&/+", "x")


def test_only_what_is_asked_for_is_compared() -> None:
    assert matcher(Choice(), NOW)(cast(Any, held(1)))

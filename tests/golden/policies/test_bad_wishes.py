"""Wishes nobody should send, in the place where each shipped policy looks for one: whatever the dialect makes of them,
nothing fails, and nothing is held for longer than the dialect allows (a day, where it sets no limit).
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from gateway.holds.ask import ENDLESS
from gateway.holds.units import LONGEST_HOLD
from gateway.outcome import Outcome
from tests.golden.policies.shelf import NAMES
from tests.golden.policies.stage import request, staged
from tests.golden.policies.test_golden import HERE

BAD = ["abc", "", "-1", "-0", "NaN", "Infinity", "1e9", "1e999", "0x10", "9" * 10_000, "1_000", "٣", "+5", " 5", "5;5"]
LATER = 0.001


def asking(name: str) -> dict[str, Any] | None:
    """The first poll of a policy's data that states its wish."""
    cases = tomllib.loads((HERE / f"{name}.toml").read_text("utf-8"))["case"]
    return next((case for case in cases if isinstance(case.get("asked"), int) and "route" not in case), None)


def with_wish(case: dict[str, Any], place: Any, wish: str, twice: bool) -> dict[str, Any]:
    """The request of a case with another wish in it."""
    name = re.escape(place.name.rpartition("/")[2])
    again = rf"\g<0>&{place.name}=7" if twice else rf"\g<1>{wish}"
    changed = dict(case)
    if place.where == "query":
        changed["request"] = re.sub(rf"({name}=)[^& ]*", again, case["request"])
    elif place.where == "form":
        changed["body"] = re.sub(rf"({name}=)[^&]*", again, case["body"])
    elif place.where == "json":
        text = wish if re.fullmatch(r"-?[0-9.e]+", wish) else f'"{wish}"'
        changed["body"] = re.sub(rf'("{name}": ?)\d+', rf'\g<0>,"{name}":7' if twice else rf"\g<1>{text}", case["body"])
    elif "headers" in case:
        old = name if place.where == "header" else f"{name}="
        lines = [re.sub(rf"(?i)({old}:? ?)\d+", rf"\g<1>{wish.strip()}", line) for line in case["headers"]]
        changed["headers"] = [*lines, *(case["headers"] if twice else ())]
    return changed


CASES = [(name, case) for name in NAMES if (case := asking(name)) is not None]


@pytest.mark.parametrize(("name", "case"), CASES, ids=[name for name, _ in CASES])
def test_no_wish_holds_for_longer_than_the_dialect_allows(name: str, case: dict[str, Any]) -> None:
    tried = 0
    for wish, twice in [*((wish, False) for wish in BAD), ("", True)]:
        with staged(name) as stage:
            plan = stage.plan
            for place in plan.ask:
                changed = with_wish(case, place, wish, twice)
                if (changed.get("request"), changed.get("headers"), changed.get("body")) == (
                    case.get("request"), case.get("headers"), case.get("body"),
                ):  # fmt: skip
                    continue
                tried += 1
                call = stage.join(request(changed)).call
                assert call.outcome in (None, Outcome.BAD_REQUEST), (place, wish)
                most = LONGEST_HOLD if plan.over_max == "pass" or call.note == ENDLESS else plan.max
                longest = most + plan.jitter.longest(most) + plan.margin
                assert call.granted is None or call.deadline - call.started <= longest + LATER, (place, wish)
    assert tried >= len(BAD) - 1

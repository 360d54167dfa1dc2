"""Whether a machine takes calls, and what there is to say about it: it does when one of its workers does. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.machine.admin.asking import Missing


def readiness(workers: int, states: Mapping[int, Any], missing: Sequence[Missing], draining: bool) -> tuple[bool, str]:
    """`states` are what workers say, by number. What most of them say is said once; who says something else, or
    nothing, is named."""
    if draining:
        return False, "draining"
    ready = [number for number, state in states.items() if state["ready"]]
    common = Counter(states[number]["detail"] for number in ready).most_common(1)
    usual = common[0][0] if common else "no worker takes calls"
    others = [(number, state["detail"]) for number, state in states.items() if state["detail"] != usual]
    others += [(one.worker, one.why) for one in missing]
    said = [usual, f"{len(ready)} of {workers} workers ready", *(f"worker {at}: {why}" for at, why in sorted(others))]
    return bool(ready), "; ".join(said)

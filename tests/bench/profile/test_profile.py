"""What a profile must not get wrong: whose time it was, what a thing is called, and that nothing is counted twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.process import ROOT, MeasureError

from . import cpu, held
from .census import Census
from .sampler import program
from .stacks import Stacks, short

SAMPLES = [
    'thread (0x7F1): "MainThread";main (/a/asyncio/runners.py:86);read (/g/edge.py:5);again (/g/edge.py:9) 3',
    'thread (0x7F1): "MainThread";main (/a/asyncio/runners.py:86);read (/g/edge.py:5);read (/g/edge.py:5) 2',
    'thread (0x7F1): "MainThread";main (/a/asyncio/runners.py:86) 4',
    'thread (0x7F2): "call-log";write (/x/gateway/log.py:7) 8',
    "",
]


def test_time_belongs_to_who_was_at_work_and_to_who_called() -> None:
    stacks = Stacks()
    stacks.add(SAMPLES)
    assert stacks.total == 9 == sum(stacks.own.values())
    assert [stacks.own[f"{name}  /g/edge.py:{line}"] for name, line in (("again", 9), ("read", 5))] == [3, 2]
    assert stacks.whole["read  /g/edge.py:5"] == 5  # also where it called itself
    assert stacks.others == {"call-log": 8}


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/a/.venv/lib/python3.11/site-packages/uvloop/loop.pyx", "uvloop/loop.pyx"),
        ("/usr/lib/python3.11/asyncio/runners.py", "asyncio/runners.py"),
        ("gateway/serve.py", "gateway/serve.py"),
    ],
)
def test_a_file_is_named_from_its_package_on(path: str, shown: str) -> None:
    assert short(path) == shown


class Crate:
    __slots__ = ("label", "things")

    def __init__(self, number: int) -> None:
        self.label = f"crate number {number}"
        self.things = [number + 0.5, (f"thing {number}", number + 0.25)]


def crates_counted() -> None:
    """Prints what ten crates add, in a process that has nothing else to do: a census looks at every object there is."""
    before = Census().take()
    crates = [Crate(number) for number in range(10)]
    crates[3].things.append(crates[4].label)
    more = held.more(before, Census().take())
    print(json.dumps({label.replace("tests.", ""): count for label, (count, _) in more.items() if "Crate" in label}))


def test_things_are_named_by_the_slot_that_holds_them_and_counted_once() -> None:
    command = f"from {__name__} import crates_counted; crates_counted()"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, cwd=ROOT)
    counts = json.loads(done.stdout)
    assert counts.pop("str of Crate.label") + counts["str of Crate.things"] == 20
    assert counts == {
        "Crate": 10, "list of Crate.things": 10, "tuple of Crate.things": 10, "float of Crate.things": 20,
        "str of Crate.things": counts["str of Crate.things"],
    }  # fmt: skip


def test_what_did_not_change_is_not_shown() -> None:
    assert held.more({"a": [1, 10], "b": [2, 20]}, {"a": [1, 10], "c": [3, 30]}) == {"b": [-2, -20], "c": [3, 30]}


@pytest.mark.parametrize("how", ["types", "sites"])
async def test_held_polls_are_found_in_a_real_gateway(tmp_path: Path, how: str) -> None:
    found = await held._looked(tmp_path, how, 20)
    ours = (count for label, (count, _) in found.items() if label == "Call" or label.startswith("gateway/"))
    assert max(ours) >= 20
    assert "held poll: 5,000 bytes" in "\n".join(held.table(held.Bytes(20, 5000, found, found), 5))


@pytest.mark.skipif(program() is None, reason="py-spy is not installed")
async def test_a_real_gateway_is_seen_at_work(tmp_path: Path) -> None:
    try:
        short_requests, *_ = await cpu.cpu(tmp_path, polls=20, seconds=0.3, turns=1)
    except MeasureError as error:
        pytest.skip(f"no process may look at another here: {error}")
    assert short_requests.times and short_requests.stacks.total
    assert "short request" in "\n".join(cpu.table(short_requests, 5))

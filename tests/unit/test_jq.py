"""The recipes of docs/logs.md, run by the jq of this machine over a log that has what they ask for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.call_logs import NOON, line

PAGE = Path(__file__).parents[2] / "docs" / "logs.md"
RECIPES = dict(
    re.findall(r"^\*\*(.+?)\*\*:.*?```sh\n(.*?)^```", PAGE.read_text("utf-8").partition("## Recipes")[2], re.S | re.M)
)

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="there is no jq here; install Debian's jq")

POLL = {
    "dialect": "cursor-updates",
    "method": "GET",
    "path": "/updates",
    "blame": "none",
    "consumer": "alice",
    "work": 0.01,
}
BAD = {**POLL, "blame": "upstream", "endpoint": "10.0.0.1:80"}
START = {
    "kind": "start",
    "outcome": None,
    "consumer": "alice",
    "route": "updates",
    "ends_at": "2026-01-01T12:01:00.000Z",
}
LINES = [
    line("start-1", **START),
    line("1", **POLL, route="updates", held=12.5),
    line("2", **{**POLL, "outcome": "empty"}, route="updates", held=14.9),
    line("3", **{**POLL, "outcome": "blank"}, route="updates", held=25.0),
    line("4", **{**POLL, "outcome": "blank"}, route="jobs", held=60.0),
    line("5", **{**POLL, "outcome": "evicted", "note": "6"}, route="jobs", held=1.0),
    line("6", **{**BAD, "outcome": "upstream_reset"}, route="jobs", held=2.0),
    line("7", **{**BAD, "outcome": "upstream_reset"}, route="jobs", held=2.0),
    line("8", **{**BAD, "outcome": "overrun", "endpoint": "10.0.0.2:80"}, route="jobs", held=61.0),
    line("9", method="GET", path="/slow", blame="none", work=0.75, outcome="answered"),
    line("10", method="POST", path="/slower", blame="none", work=1.5, outcome="answered"),
    line("1", **START),
]
ANSWERS = {
    "Slow calls": "1.5\tPOST\t/slower\tanswered\t10\n0.75\tGET\t/slow\tanswered\t9\n",
    "Empty share": "jobs\t1\t1\nupdates\t3\t0.6666666666666666\n",
    "Evictions": "2026-01-01T12:00:00.000Z\talice\tjobs\t6\n",
    "Holds": "0\t3\n10\t2\n25\t1\n60\t2\n",
    "Failures": "10.0.0.1:80\tupstream_reset\t2\n10.0.0.2:80\toverrun\t1\n",
    "Held for ever": "2026-01-01T12:00:00.000Z\talice\tupdates\t2026-01-01T12:01:00.000Z\n",
}


def test_every_recipe_has_its_answer_here() -> None:
    assert RECIPES.keys() == ANSWERS.keys()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recipe_answers_over_the_live_and_the_closed_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "calls-20260101T120000Z-000001.jsonl").write_bytes(b"".join(LINES[:5]))
    (tmp_path / "calls.jsonl").write_bytes(b"".join(LINES[5:]))
    done = subprocess.run(["sh", "-c", RECIPES[name]], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, ANSWERS[name], "")


def test_lines_are_of_one_moment() -> None:
    """The kit's noon is what the answers above show."""
    assert line("x", NOON).count(b"2026-01-01T12:00:00.000Z") == 1

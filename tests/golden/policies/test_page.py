"""docs/dialects.md: its table of shipped policies says what the files say, row by row. `python -m` this module prints
the table as it has to be.
"""

from __future__ import annotations

import re

from gateway.config.clocks import quiet
from gateway.config.merge import merge_route
from gateway.config.schema import Hold
from tests.golden.policies.shelf import NAMES, ROOT, attach, text
from tests.golden.policies.stage import attached

PAGE = ROOT / "docs" / "dialects.md"
HEAD = "| policy | for | attach with | the wish stands in | who says no news | replay | a second poll | longest hold |"


def row(name: str) -> str:
    config = attached(name, False)
    hold = merge_route(config, config.routes[0]).hold
    assert hold is not None
    purpose = text(name).partition(": ")[2].partition("\n")[0].rstrip(".")
    cells = [
        f"`{name}`",
        purpose,
        f"`{attach(name)}`",
        wish(hold),
        no_news(hold),
        hold.replay,
        second(hold),
        longest(hold),
    ]
    return f"| {' | '.join(cells)} |"


def wish(hold: Hold) -> str:
    places = ", ".join(f"`{each.in_}:{each.name}`" for each in hold.ask)
    return places or "nothing, the service decides"


def no_news(hold: Hold) -> str:
    if hold.empty.answer == "template":
        return f"the gateway may, {hold.empty.status}"
    return "only the service" if hold.empty.answer == "origin" else "nobody else, ever"


def second(hold: Hold) -> str:
    if hold.concurrency == "many":
        return "is held beside it"
    who = {"newest-wins": "the older gets", "oldest-wins": "gets", "session-fatal": "waits; a third gets"}
    return f"{who[hold.concurrency]} {hold.loser.status}"


def longest(hold: Hold) -> str:
    return f"{quiet(hold).hold:g} s" + (", or without end" if hold.unbounded is not None else "")


def table() -> str:
    return "\n".join((HEAD, re.sub(r"[^|]+", "---", HEAD), *map(row, NAMES)))


def test_the_table_says_what_the_files_say() -> None:
    found = re.search(rf"{re.escape(HEAD)}\n(?:\|.*\n)+", PAGE.read_text("utf-8"))
    assert found is not None
    assert found[0].strip().splitlines() == table().splitlines()


if __name__ == "__main__":
    print(table())

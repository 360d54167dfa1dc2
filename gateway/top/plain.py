"""`gateway top --once`: everything that is held as a table of plain text, for scripts and without a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.top.asking import Gateway
from gateway.top.view import COLUMNS, WORKER_COLUMNS, Seen, by_worker, row, shown, state

PAGE = "1000"  # calls asked for at once


async def everything(gateway: Gateway, sort: str, filtered: str) -> Seen:
    """All pages as one. Raises UnansweredError."""
    query = {"sort": sort, "limit": PAGE} | ({"q": filtered} if filtered else {})
    overview = await gateway.get("/api/overview")
    held = await gateway.get("/api/held", query)
    calls = list(Seen(held).calls)
    while isinstance(cursor := held.get("next"), str):
        held = await gateway.get("/api/held", {**query, "cursor": cursor})
        calls += Seen(held).calls
    return Seen({**held, "calls": calls}, overview)


def render(name: str, seen: Seen, sort: str, filtered: str) -> str:
    """The state, what is listed, and a line a call."""
    lines = [f"{name}: {state(seen)}", shown(seen, sort, filtered)]
    if workers := by_worker(seen):
        lines += ["", *table(WORKER_COLUMNS, workers)]
    if seen.calls:
        lines += ["", *table([column.title for column in COLUMNS], [row(call) for call in seen.calls])]
    return "\n".join(lines)


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as what is in them."""
    lines = [titles, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]

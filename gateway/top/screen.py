"""The screen of `gateway top`: a table that is asked for once a second, its filter, its keys. Everything it says comes
from `view`, everything it asks goes through `asking`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable, Footer, Input, Static

from gateway.top.asking import Gateway, UnansweredError
from gateway.top.dialogs import Confirm, Help
from gateway.top.view import COLUMNS, ROUTE_COLUMNS, WORKER_COLUMNS, Seen, by_route, by_worker, row, shown, state
from gateway.top.where import Where

EVERY = 1.0  # seconds between two looks
TABLES = ("#calls", "#routes", "#workers")
ROWS = "300"  # of the table at most: who looks for more filters

WIDEST, NARROWEST = 40, 9  # characters of a cell
TIMES = 40  # of a line: state and times, which are to be seen beside who and where

Calls = DataTable[Text]


class Top(App[None]):
    """Watches one gateway until it is left."""

    TITLE = "gateway top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #state { text-style: bold; }
    #filter { height: 1; border: none; padding: 0; }
    DataTable { height: 1fr; }
    DataTable > .datatable--cursor { text-style: reverse bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "filter"),
        Binding("e", "end", "end poll"),
        Binding("t", "routes", "routes"),
        Binding("w", "workers", "workers"),
        Binding("question_mark", "help", "help"),
        Binding("q", "quit", "leave"),
        Binding("ctrl+c", "quit", show=False, priority=True),
        Binding("escape", "unfilter", show=False),
        *[Binding(str(at), f"sort('{column.key}')", show=False) for at, column in enumerate(COLUMNS, 1)],
    ]

    def __init__(
        self, where: Where, token: str | None, sort: str = "-since", filtered: str = "", every: float = EVERY
    ) -> None:
        super().__init__()
        self.seen = Seen()
        self.sort = sort
        self.filtered = filtered
        self._gateway = Gateway(where, token)
        self._every = every
        self._hurry = asyncio.Event()
        self._widest = WIDEST

    def compose(self) -> ComposeResult:
        yield Static(f"{self._gateway.where.name}: asking ..", id="state", markup=False)
        yield Static("", id="shown", markup=False)
        yield Input(self.filtered, placeholder="text to look for", id="filter")
        yield DataTable(id="calls", cursor_type="row")
        yield DataTable(id="routes", cursor_type="none")
        yield DataTable(id="workers", cursor_type="none")
        yield Footer()

    def on_mount(self) -> None:
        self.query_one("#filter").display = bool(self.filtered)
        self._turn_to("#calls")
        self._fill()
        self.query_one("#calls").focus()
        self.run_worker(self._watch(), name="watch")

    # -- what is asked -------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        async with self._gateway:
            while True:
                self._hurry.clear()
                await self._look()
                try:
                    async with asyncio.timeout(self._every):
                        await self._hurry.wait()
                except TimeoutError:
                    pass

    async def _look(self) -> None:
        """One look at the gateway. What was seen before stays on the screen while nobody answers."""
        sort, filtered = self.sort, self.filtered
        query = {"sort": sort, "limit": ROWS} | ({"q": filtered} if filtered else {})
        try:
            overview = await self._gateway.get("/api/overview")
            seen, problem = Seen(await self._gateway.get("/api/held", query), overview), ""
        except UnansweredError as error:
            seen, problem = self.seen, str(error)
        if not self.is_running:  # it was left meanwhile
            return
        if problem:
            self._say("state", f"{problem} (asking again)")
        elif (sort, filtered) == (self.sort, self.filtered):  # else it is out of date already
            self.seen = seen
            self._show()

    async def _end(self, call: dict[str, Any]) -> None:
        try:
            ended = await self._gateway.end(str(call.get("id")))
        except UnansweredError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.notify("ended" if ended else "it had ended by itself", markup=False)
        self._hurry.set()

    # -- what is shown -------------------------------------------------------------------------------------------

    def _say(self, where: str, line: str) -> None:
        self.query_one(f"#{where}", Static).update(line)

    def _show(self) -> None:
        self._say("state", f"{self._gateway.where.name}: {state(self.seen)}")
        self._say("shown", shown(self.seen, self.sort, self.filtered))
        self._fill()

    def _fill(self) -> None:
        mark = {self.sort.removeprefix("-"): " v" if self.sort.startswith("-") else " ^"}
        titles = [column.title + mark.get(column.key, "") for column in COLUMNS]
        calls = {str(call.get("id")): row(call) for call in self.seen.calls}
        widest = min(max((self.size.width - TIMES) // 2, NARROWEST), WIDEST)
        _refill(self.query_one("#calls", DataTable), titles, calls, widest, anew=widest != self._widest)
        self._widest = widest
        routes = {each[0]: each for each in by_route(self.seen)}
        _refill(self.query_one("#routes", DataTable), ROUTE_COLUMNS, routes, WIDEST)
        workers = {each[0]: each for each in by_worker(self.seen)}
        _refill(self.query_one("#workers", DataTable), WORKER_COLUMNS, workers, WIDEST)

    def on_resize(self) -> None:
        self._fill()

    # -- keys ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.query_one("#filter").display = True
        self.query_one("#filter").focus()

    def action_unfilter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.query_one("#filter").display = False
        self.query_one("#calls").focus()

    def on_input_changed(self, changed: Input.Changed) -> None:
        self.filtered = changed.value
        self._hurry.set()

    def on_input_submitted(self) -> None:
        self.query_one("#calls").focus()

    def action_sort(self, key: str) -> None:
        self.sort = f"-{key}" if self.sort == key else key
        self._hurry.set()

    def action_routes(self) -> None:
        self._turn_to("#routes")

    def action_workers(self) -> None:
        if by_worker(self.seen):
            self._turn_to("#workers")
        else:
            self.notify("one process serves alone here")

    def _turn_to(self, name: str) -> None:
        """Shows one of the tables; asked for the one that is shown, the calls again."""
        shown = "#calls" if name != "#calls" and self.query_one(name).display else name
        for each in TABLES:
            self.query_one(each).display = each == shown

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_end(self) -> None:
        call = self._selected()
        if call is None:
            self.notify("no poll is selected")
        elif not call.get("endable"):
            self.notify('this call cannot be told "no news": it ends by itself')
        else:
            self.push_screen(Confirm(call), lambda yes: self._confirmed(call, yes))

    def _confirmed(self, call: dict[str, Any], yes: bool | None) -> None:
        if yes:
            self.run_worker(self._end(call))

    def _selected(self) -> dict[str, Any] | None:
        table = self.query_one("#calls", DataTable)
        if not table.display or not table.is_valid_coordinate(table.cursor_coordinate):
            return None
        key = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value
        return next((call for call in self.seen.calls if call.get("id") == key), None)


def _refill(
    table: Calls, titles: Sequence[str], rows: Mapping[str, Sequence[str]], widest: int, anew: bool = False
) -> None:
    """Other rows; who was selected stays so, wherever it stands now, and the table where it was scrolled to. `anew`
    where columns may become narrower: they never do so by themselves."""
    at, before, scrolled = table.cursor_row, [each.key.value for each in table.ordered_rows], table.scroll_offset
    titled = not anew and [str(column.label) for column in table.ordered_columns] == list(titles)
    table.clear(columns=not titled)
    if not titled:
        table.add_columns(*map(Text, titles))
    for key, cells in rows.items():
        table.add_row(*[_clipped(cell, widest) for cell in cells], key=key)
    if rows:
        places = {key: place for place, key in enumerate(rows)}
        place = places.get(before[at] or "", at) if at < len(before) else at
        table.move_cursor(row=min(place, len(rows) - 1), scroll=False)
        table.scroll_to(scrolled.x, scrolled.y, animate=False, immediate=True)


def _clipped(cell: str, widest: int) -> Text:
    """As wide as there is place for, however wide its letters are."""
    text = Text(cell)
    text.truncate(widest, overflow="ellipsis")
    return text

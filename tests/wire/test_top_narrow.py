"""`gateway top` in a terminal that is narrow, or becomes so: times are seen beside names of any length and letters."""

from __future__ import annotations

from pathlib import Path

from rich.cells import cell_len
from textual.widgets import DataTable

from gateway.top.screen import Top
from gateway.top.where import parse_url
from tests.kit.gateways import bearer, gateway
from tests.kit.polls import crowd, polling
from tests.kit.raw import get
from tests.kit.upstreams import HoldingUpstream
from tests.kit.waiting import until

NAMES = ["\u6d88\u8cbb\u8005-" * 20, "a-consumer-" * 20]


def consumers(top: Top) -> list[str]:
    table = top.query_one("#calls", DataTable)
    return [str(table.get_row(each.key)[1]) for each in table.ordered_rows]


async def test_names_make_room_for_the_times_and_who_was_selected_stays_so(tmp_path: Path) -> None:
    async with (
        HoldingUpstream() as up,
        HoldingUpstream() as other,
        gateway(crowd(up, other), tmp_path) as gw,
        polling(gw, *[get("/a", bearer(name)) for name in NAMES]),
    ):
        top = Top(parse_url(f"127.0.0.1:{gw.admin_port}"), None, every=0.2)
        async with top.run_test(size=(120, 30)) as pilot:
            await until(lambda: len(consumers(top)) == 2)
            wide, table = consumers(top), top.query_one("#calls", DataTable)
            await pilot.press("down")
            await pilot.resize_terminal(60, 20)
            await until(lambda: consumers(top) != wide)
            assert [cell_len(name) <= 10 and name.endswith("…") for name in consumers(top)] == [True, True]
            assert table.cursor_row == 1
            assert sum(column.get_render_width(table) for column in table.ordered_columns[:5]) <= 60

"""That the abuse cases still work, scaled down: what they count, not how long it takes."""

from __future__ import annotations

from pathlib import Path

from .abuse_halves import half_close
from .abuse_tokens import addresses, tokens
from .sheet import Sheet


async def test_half_closed_clients_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    await half_close(sheet, tmp_path, polls=20)
    assert sheet.checks >= 3 and not sheet.failed, lines


async def test_made_up_tokens_and_addresses_scaled_down(tmp_path: Path) -> None:
    lines: list[str] = []
    sheet = Sheet(lines.append, timed=False)
    for name, case in (("tokens", tokens), ("addresses", addresses)):
        (tmp_path / name).mkdir()
        await case(sheet, tmp_path / name, total=3200)
    assert sheet.checks == 7 and not sheet.failed, lines

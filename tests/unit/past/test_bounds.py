"""The connection behind a question reads the files of its log and does nothing else, with no more than it was given."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from gateway.past.source import Means, connect
from tests.kit import history

FORBIDDEN = [
    "SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM read_csv('{other}')", "SELECT * FROM '{other}'",
    "COPY (SELECT 1) TO '{other}'", "COPY (SELECT * FROM calls) TO '{own}' (FORMAT parquet)", "ATTACH '{other}'",
    "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "SET threads = 64", "RESET memory_limit",
    "SET allowed_paths = ['/etc/hostname']", "EXPORT DATABASE '{other}'", "SELECT * FROM glob('/etc/*')",
]  # fmt: skip


@pytest.mark.parametrize("sql", FORBIDDEN)
def test_the_connection_can_do_nothing_but_read_its_files(tmp_path: Path, sql: str) -> None:
    """Should SQL ever get in, there is nothing it could do."""
    (own,) = history.write_parquet(tmp_path, history.Day(10, hours=1))
    before = own.read_bytes()
    other = tmp_path / "other"
    other.write_text("secret")
    with connect(tmp_path / "calls.jsonl") as past, pytest.raises(duckdb.Error):
        past.connection.execute(sql.format(own=own, other=other)).fetchall()
    assert (own.read_bytes(), other.read_text()) == (before, "secret")


def test_no_variable_of_ours_is_a_table(day: Path) -> None:
    calls_of_mine = [1]
    with connect(day) as past, pytest.raises(duckdb.Error):
        past.connection.execute("SELECT * FROM calls_of_mine").fetchall()
    assert calls_of_mine == [1]


def test_memory_is_bounded(day: Path) -> None:
    with connect(day, means=Means(64 << 20, 1)) as past:
        assert past.connection.execute(
            "SELECT current_setting('memory_limit'), current_setting('threads')"
        ).fetchall() == [("64.0 MiB", 1)]

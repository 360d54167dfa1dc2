"""A small healthy day, made once: what the tests of the past ask about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit import history

CALLS = 4000


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The live file of a log whose day is compacted. Do not write to it."""
    folder = tmp_path_factory.mktemp("day")
    history.write_parquet(folder, history.Day(CALLS))
    return folder / "calls.jsonl"

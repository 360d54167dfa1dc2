"""Reloads when the configuration does not come to be: files that do not answer, errors nobody thought of. The wire
tests have the others.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.reloading import Reloads
from tests.kit.waiting import soon


def unwanted(_: object) -> None:
    raise AssertionError("nothing may be swapped in")


def reloads(load: Any, patience: float = 30.0) -> Reloads:
    return Reloads(load, unwanted, lambda: 0.0, patience)


async def test_a_file_that_does_not_answer_fails_and_the_next_reload_does_not_wait_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stuck = reloads(pipe.read_text, 0.01)
    for number in (1, 2):
        (said,) = await soon(stuck.run(lambda: True))
        assert "not read in time (0.01s" in said
        assert stuck.failure is not None and stuck.counts == {"ok": 0, "failed": number}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "reload")
    with pipe.open("w"):  # the threads end
        pass


async def test_a_bug_is_a_reload_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    def load() -> None:
        raise KeyError("a bug")

    broken = reloads(load)
    (said,) = await soon(broken.run(lambda: True))
    assert "KeyError" in said and broken.failure is not None and broken.counts["failed"] == 1
    assert any(record.exc_info for record in caplog.records), "the log says where"


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "x.toml"), IsADirectoryError(21, "Is one", "x.toml")]
)
async def test_what_the_system_says_comes_with_the_file_and_a_remedy(error: OSError) -> None:
    def load() -> None:
        raise error

    (said,) = await soon(reloads(load).run(lambda: True))
    assert said == f"x.toml: {error.strerror}; check the file"

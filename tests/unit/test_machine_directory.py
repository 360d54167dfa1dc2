"""The directory that workers share: for its user only, gone with its processes, and those of machines that were killed
are gone with the next one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from gateway.machine.directory import PREFIX, DirectoryError, leave, make_directory


def names(base: Path) -> set[str]:
    return set(os.listdir(base))


def test_nobody_else_can_look_into_it_and_it_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    made = make_directory(tmp_path)
    assert made.path.stat().st_mode & 0o777 == 0o700
    (made.path / "state").mkdir()
    (made.path / "state" / "data").write_text("x")
    made.remove()
    assert names(tmp_path) == set()


def test_what_a_killed_machine_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = make_directory(tmp_path)
    inherited = os.dup(left.lock)  # a worker of it
    os.close(left.lock)
    first = make_directory(tmp_path)
    assert names(tmp_path) == {left.path.name, first.path.name}, "a worker lives in it"
    os.close(inherited)
    second = make_directory(tmp_path)
    assert names(tmp_path) == {first.path.name, second.path.name}
    first.remove()
    second.remove()


def test_without_a_supervisor_the_last_of_its_processes_removes_it(tmp_path: Path) -> None:
    made = make_directory(tmp_path)
    workers = [os.dup(made.lock) for _ in range(2)]
    os.close(made.lock)
    leave(made.path, workers[0])
    assert names(tmp_path) == {made.path.name}
    leave(made.path, workers[1])
    assert names(tmp_path) == set()


def test_what_is_not_a_machines_is_left_alone(tmp_path: Path) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (aim / "lock").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(aim)
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}new").mkdir()  # it is about to be locked
    make_directory(tmp_path).remove()
    assert names(tmp_path) == {"aim", f"{PREFIX}link", f"{PREFIX}file", f"{PREFIX}new"}
    assert (aim / "lock").exists()


def test_one_that_another_process_locks_between_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter([BlockingIOError, None])
    real = fcntl.flock

    def flock(file: int, how: int) -> None:
        error = next(turns, None)
        if error is not None:
            raise error
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    made = make_directory(tmp_path)
    assert made.path.is_dir()
    made.remove()


def test_one_that_another_process_removes_between_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found the file in the moment in which nobody held it, and took the directory for that of a killed machine."""
    real, removed = fcntl.flock, []

    def flock(file: int, how: int) -> None:
        if not removed:
            (left,) = tmp_path.iterdir()
            shutil.rmtree(left)
            removed.append(left)
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    made = make_directory(tmp_path)
    assert made.path.is_dir() and made.path not in removed
    made.remove()


def test_where_none_can_be_made_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError) as error:
        make_directory(tmp_path / "none")
    said = f"workers share memory in {tmp_path}/none, and no directory can be made there: no such file or directory; "
    assert error.value.strerror == f"{said}mount it for this user, or write workers = 1"

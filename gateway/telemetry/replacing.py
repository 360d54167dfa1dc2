"""Files of a call log take the place of others in one instant: when the journal is there. A crash before it leaves the
old ones as they were, a crash after it is finished by whoever comes next; whoever reads meanwhile goes by `readable`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gateway.telemetry.naming import TEMPORARY, Journal, Names


def replace(names: Names, inputs: Sequence[Path], outputs: Sequence[Path]) -> None:
    """`outputs` lie there `unfinished`, and are on the disk."""
    for path in outputs:
        unfinished(path).chmod(0o640)
    journal = Journal(tuple(path.name for path in inputs), tuple(path.name for path in outputs))
    with unfinished(names.journal).open("wb") as file:
        file.write(journal.text())
        file.flush()
        os.fsync(file.fileno())
    _sync(names.live.parent)
    unfinished(names.journal).rename(names.journal)  # from here on the outputs count
    _sync(names.live.parent)
    finish(names)


def finish(names: Names) -> None:
    """Does what the journal says, if there is one. It may be done any number of times."""
    journal, folder = Journal.read(names.journal), names.live.parent
    if journal == Journal():
        return
    for output in journal.outputs:
        with suppress(FileNotFoundError):  # it has its name already
            (folder / (output + TEMPORARY)).rename(folder / output)
    _sync(folder)
    for name in journal.inputs:
        (folder / name).unlink(missing_ok=True)
    _sync(folder)
    names.journal.unlink(missing_ok=True)
    _sync(folder)


def unfinished(path: Path) -> Path:
    """Where it is made."""
    return path.with_name(path.name + TEMPORARY)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

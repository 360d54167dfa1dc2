"""Where the files of a configuration are read: where they lie, or below a directory of ours that keeps them as they
were. Several processes that are to follow one configuration read one copy: what becomes of the files changes nothing.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

MOST = 8 << 20  # bytes of a file; of one that is larger so much is kept that it is seen to be
PRIVATE = 0o700


class Copy:
    """Keeps files below `root`, of their user only, at the paths they have. While it is `making`, each is copied when
    it is first read; an OSError names `root` where it cannot be."""

    def __init__(self, root: Path, *, making: bool = False) -> None:
        self._root = root
        self._making = making

    def place(self, path: Path) -> Path:
        return self._root / os.path.abspath(path)[1:]  # without "..", which could lead out of here

    def of(self, path: Path) -> Path:
        place = self.place(path)
        if not self._making or place.exists():
            return place
        try:
            with path.open("rb") as file:
                data = file.read(MOST + 1)
        except OSError:
            return path  # whoever reads it says what is wrong with it
        try:
            self._keep(place, data)
        except OSError as error:  # a write that finds no room does not say where
            raise OSError(error.errno, error.strerror, str(self._root)) from None
        return place

    def _keep(self, place: Path, data: bytes) -> None:
        self._root.mkdir(PRIVATE, exist_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch(0o600)
        place.write_bytes(data)

    def around(self, path: Path) -> Path:
        return path if self._making else self.place(path)


_COPY: ContextVar[Copy | None] = ContextVar("copy", default=None)


@contextmanager
def reading(copy: Copy | None) -> Iterator[None]:
    """Within the block files are read there; None: where they lie."""
    token = _COPY.set(copy)
    try:
        yield
    finally:
        _COPY.reset(token)


def at(path: Path) -> Path:
    """Where to read that file."""
    copy = _COPY.get()
    return path if copy is None else copy.of(path)


def matching(base: Path, pattern: str) -> list[str]:
    """The files there, or below, that a pattern of a person means; those of a pattern with a whole path by that."""
    if not os.path.isabs(pattern):
        found = glob.glob(pattern, root_dir=around(base), recursive=True)
    else:
        root = str(around(Path("/"))).rstrip("/")
        found = [name.removeprefix(root) for name in glob.glob(root + pattern, recursive=True)]
    return [name for name in found if not around(base / name).is_dir()]


def around(path: Path) -> Path:
    """Where to look which files there are, and which of them are one and the same."""
    copy = _COPY.get()
    return path if copy is None else copy.around(path)

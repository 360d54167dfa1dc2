"""`python -m gateway.telemetry.compact DIR/calls.jsonl` puts the files of a call log in order, in its own process. The
gateway starts it when it has closed a file; it may be run by hand at any time, and any number of times.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from gateway.config.durations import parse_duration, parse_size
from gateway.telemetry.expire import expired, found
from gateway.telemetry.naming import Names
from gateway.telemetry.replacing import finish
from gateway.telemetry.slots import close_orphans, orphans

T = TypeVar("T")
Say = Callable[[str], None]
NICE = 19


def main(arguments: Sequence[str] | None = None) -> int:
    """What is said goes to standard error; 1 if something could not be done, and will be tried the next time."""
    asked = _parser().parse_args(arguments)
    names = Names.of(asked.path.absolute())
    _yield_to_others()
    os.umask(0o027)
    try:
        with _locked(names, asked.queue) as free:
            if not free:
                if not asked.queue:
                    _tell(f"{names.live.name} is being compacted by another process")
                return 0
            return 0 if tidy(names, asked.keep, asked.disk, asked.parquet, time.time, _tell) else 1
    except OSError as error:
        _tell(f"{error.filename or names.live}: {(error.strerror or 'unknown error').lower()}; look at the disk")
        return 1


def tidy(
    names: Names, keep: float | None, disk: int | None, parquet: bool, wall: Callable[[], float], say: Say
) -> bool:
    """Everything there is to do; whether all of it could be done. What is too old goes first, and what has no room
    last: as Parquet it may have."""
    finish(names)
    close_orphans(names, wall())
    _expire(names, keep, None, wall(), say)
    try:
        return _compact(names, wall(), say) if parquet else True
    finally:
        _expire(names, keep, disk, wall(), say)


def _compact(names: Names, now: float, say: Say) -> bool:
    from gateway.telemetry.compacting import Compaction  # with DuckDB, for which many have no need

    compaction, hour, sound = Compaction(names, say), time.strftime("%Y%m%dT%HZ", time.gmtime(now)), True
    work = [(source.name, partial(compaction.compact, source)) for source in compaction.closed()]
    try:
        for what, do in (*work, ("small files", partial(compaction.merge, hour))):
            compaction.clear()
            sound &= _tried(do, what, say)
        return sound
    finally:
        compaction.clear()
        compaction.close()


def _tried(work: Callable[[], None], what: str, say: Say) -> bool:
    """A file that cannot be compacted is no reason to leave the others."""
    try:
        work()
    except Exception as error:
        say(f"{what} could not be compacted and stays as it is: {_reason(error)}")
        return False
    return True


def _reason(error: Exception) -> str:
    """In a sentence: DuckDB tells of a full disk in JSON."""
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
        return "the disk is full; make room, or lower log.rotate.disk"
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _expire(names: Names, keep: float | None, disk: int | None, now: float, say: Say) -> None:
    live = sum(path.stat().st_size for path in (names.live, *orphans(names)) if path.exists())
    old, gone = expired(found(names), live, now, keep, disk)
    for each in gone:
        each.path.unlink(missing_ok=True)
    if len(gone) > old:
        say(f"{len(gone) - old} files went before their time, the last is {gone[-1].path.name}; raise log.rotate.disk")


@contextmanager
def _locked(names: Names, queue: bool) -> Iterator[bool]:
    """Whether nobody else is at it. With `queue` that is waited for, unless somebody waits already: who does will look
    at all there is then."""
    with names.lock.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not queue or not _next(file):
                yield False
                return
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_UN, 1)
        yield True


def _next(file: BinaryIO) -> bool:
    """Whether we are the only one that waits. It is a lock of another kind on the same file."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
    except OSError:
        return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.telemetry.compact",
        description="Turns the closed files of a call log into Parquet and removes what is too old.",
    )
    parser.add_argument("path", type=Path, help="the live file, as in log.calls")
    parser.add_argument(
        "--keep", type=_told(parse_duration), help="how long calls are kept, such as 720h; for ever if left out"
    )
    parser.add_argument(
        "--disk", type=_told(parse_size), help="bytes for all files, such as 10GiB; any number if left out"
    )
    parser.add_argument("--queue", action="store_true", help="wait for another process that is at it")
    parser.add_argument("--no-parquet", dest="parquet", action="store_false", help="only remove what is too old")
    return parser


def _yield_to_others() -> None:
    """Of the processor, and of memory: where there is none left, this process goes and not the one that serves."""
    os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _told(parse: Callable[[str], T]) -> Callable[[str], T]:
    """With the sentence of what is wrong, which argparse keeps to itself."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _tell(text: str) -> None:
    print(f"call log: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

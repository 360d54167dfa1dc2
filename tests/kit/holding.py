"""A worker that is in a transaction, as a process of its own: `python -m tests.kit.holding DIRECTORY SIZE`. It says
"in" when it is, and stays there until it is killed. With a number behind that many are started and killed one after the
other, each somewhere in the middle of its work; it says "whole" when nothing was ever half done.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

from gateway.state.lmdb_crowd import NOBODY, row_of
from gateway.state.lmdb_map import Map

ONE, OTHER, CROWD = b"1" * 16, b"2" * 16, b"3" * 16
OWNER = b"12345678"


def hold(shared: Map) -> None:
    shared.open()
    txn = shared.begin()
    change(shared, txn, 1)
    print("in", flush=True)
    time.sleep(600)


def change(shared: Map, txn: object, number: int) -> None:
    """What is either done or not: one number in two places, and as many rows as before."""
    at = shared.meters.get(txn, ONE)
    for key in (ONE, OTHER):
        shared.meters.put(txn, key, at + 1 if at > 0 else 1.0, 0.0)
    row = row_of(number, OWNER, number, 0, NOBODY)
    txn.put(CROWD, row, db=shared.held.rows)  # type: ignore[attr-defined]
    for old in shared.held.each(txn, CROWD):
        if old != row:
            shared.held.drop(txn, CROWD, old)


def is_whole(shared: Map) -> bool:
    with shared.transaction() as txn:
        one, other = (shared.meters.get(txn, key) for key in (ONE, OTHER))
        return one == other > 0 and shared.held.count(txn, CROWD) == 1


def work(directory: Path, size: int, parent: int) -> None:
    """Until it is killed, or its parent was."""
    shared = Map(directory, size)
    shared.open()
    number = 1
    while os.getppid() == parent:
        with shared.transaction() as txn:
            change(shared, txn, number)
            number += 1


def looks_whole(directory: Path, size: int) -> bool:
    child = os.fork()
    if not child:
        shared = Map(directory, size)
        shared.open()
        os._exit(0 if is_whole(shared) else 1)
    return os.waitpid(child, 0)[1] == 0


def kill(directory: Path, size: int, times: int) -> None:
    chance = random.Random(times)
    parent = os.getpid()
    for _ in range(times):
        child = os.fork()
        if not child:
            work(directory, size, parent)
            os._exit(0)
        time.sleep(0.02 + chance.random() * 0.01)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if not looks_whole(directory, size):
            print("broken", flush=True)
            return
    print("whole", flush=True)


if __name__ == "__main__":
    where, most = Path(sys.argv[1]), int(sys.argv[2])
    if len(sys.argv) > 3:
        kill(where, most, int(sys.argv[3]))
    else:
        hold(Map(where, most))

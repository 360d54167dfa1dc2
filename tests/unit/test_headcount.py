"""The numbers by which workers see each other: who is ahead at the door, and how many connections one address has at
all of them together.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.edge.room import Room, Shed
from gateway.machine.headcount import SLACK, Headcount


@pytest.fixture
def machine(tmp_path: Path) -> Headcount:
    return Headcount.make(tmp_path, 3)


def worker(folder: Path, number: int) -> Headcount:
    return Headcount(folder, 3, number)


def test_whoever_has_many_more_than_another_is_ahead(machine: Headcount, tmp_path: Path) -> None:
    one, two = worker(tmp_path, 0), worker(tmp_path, 1)
    one.join(0)
    two.join(0)
    one.show(SLACK)
    assert not one.ahead
    one.show(SLACK + 1)
    assert one.ahead
    assert not two.ahead
    one.show(3200)
    two.show(3200 - 100)  # one of 32 is no difference worth a turn
    assert not one.ahead


def test_nobody_makes_way_for_a_worker_that_takes_none(machine: Headcount, tmp_path: Path) -> None:
    one, two = worker(tmp_path, 0), worker(tmp_path, 1)
    one.join(1000)
    assert not one.ahead  # nobody else is there
    two.join(0)
    assert one.ahead
    two.leave()
    two.show(3)  # what it still has ends
    assert not one.ahead
    two.join(0)
    assert one.ahead
    machine.gone(1)
    assert not one.ahead


def test_an_address_has_its_connections_at_all_workers_together(machine: Headcount, tmp_path: Path) -> None:
    rooms = [Room(neighbours=worker(tmp_path, number)) for number in range(3)]
    for room in rooms:
        room.allow(100, 3, ())
    assert [room.enter("192.0.2.1") for room in rooms] == [None] * 3
    assert [room.enter("192.0.2.1") for room in rooms] == [Shed.ADDRESS] * 3
    assert rooms[0].enter("192.0.2.2") is None
    rooms[1].leave("192.0.2.1")
    assert rooms[2].enter("192.0.2.1") is None
    assert rooms[0].enter("192.0.2.1") is Shed.ADDRESS


def test_the_connections_of_a_worker_that_is_gone_count_no_more(machine: Headcount, tmp_path: Path) -> None:
    rooms = [Room(neighbours=worker(tmp_path, number)) for number in range(2)]
    for room in rooms:
        room.allow(100, 1, ())
    assert rooms[0].enter("192.0.2.1") is None
    assert rooms[1].enter("192.0.2.1") is Shed.ADDRESS
    machine.gone(0)
    assert rooms[1].enter("192.0.2.1") is None

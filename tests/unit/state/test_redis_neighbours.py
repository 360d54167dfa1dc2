"""Who is taken for gone among nodes that share a Redis server: only who was watched, and did not move."""

from __future__ import annotations

from gateway.state.redis_neighbours import Neighbours, nodes


def watched(*looks: tuple[float, dict[str, str]], patience: float = 8.0, gap: float = 5.0) -> list[list[str]]:
    neighbours = Neighbours(patience, gap)
    return [[owner for owner, _ in neighbours.look(beats, now)] for now, beats in looks]


def test_who_does_not_move_while_we_look_is_gone() -> None:
    looks = [(now, {"a": "1", "b": str(now)}) for now in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)]
    assert watched(*looks) == [[], [], [], [], ["a"], ["a"]]


def test_who_moves_at_last_is_not() -> None:
    looks = [(0.0, {"a": "1"}), (4.0, {"a": "1"}), (7.9, {"a": "2"}), (12.0, {"a": "2"}), (15.9, {"a": "2"})]
    assert watched(*looks) == [[], [], [], [], ["a"]]


def test_a_beat_that_goes_back_is_a_beat() -> None:
    looks = [(float(at), {"a": str(9 - at)}) for at in range(0, 9, 2)]
    assert watched(*looks) == [[]] * 5


def test_who_could_not_look_begins_anew() -> None:
    looks = [(0.0, {"a": "1"}), (4.0, {"a": "1"}), (9.1, {"a": "1"}), (13.0, {"a": "1"}), (17.1, {"a": "1"})]
    assert watched(*looks) == [[], [], [], [], ["a"]]


def test_who_went_by_himself_and_came_back_is_new() -> None:
    looks = [(0.0, {"a": "1"}), (4.0, {}), (8.0, {"a": "1"}), (12.0, {"a": "1"})]
    assert watched(*looks) == [[], [], [], []]


def test_a_node_is_one_whatever_it_is_called_now() -> None:
    assert nodes({"a.1": "1", "a.2": "2", "b.7": "3"}) == 2 and nodes({}) == 0


def test_who_is_known_to_have_ended_is_gone_at_once_and_whenever_he_is_still_found() -> None:
    neighbours = Neighbours(8.0, 5.0)
    neighbours.ended("a")
    beats = {"a.1": "1", "a.2": "1", "b.1": "1", "aa.1": "1"}
    assert neighbours.look(beats, 0.0) == [("a.1", "1"), ("a.2", "1")]
    assert neighbours.look({"b.1": "1"}, 2.0) == []
    assert neighbours.look({"a.2": "7", "b.1": "1"}, 4.0) == [("a.2", "7")], "his last word came late"

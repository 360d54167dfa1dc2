"""Where sessions are at home while their endpoints come and go: an answer that comes late does not call one back to an
endpoint that takes no calls, and one that begins there is known to have.
"""

from __future__ import annotations

import pytest

from gateway.upstream.endpoint import Endpoint
from gateway.upstream.standing import HEALTH
from gateway.upstream.sticky import MOVED
from tests.kit.balancing import call, take, upstream
from tests.kit.heads import response


@pytest.mark.parametrize("how", ["ejected", "removed"])
def test_a_poll_that_is_answered_after_its_session_moved_does_not_call_it_back(how: str) -> None:
    made = upstream([1, 1, 1], "sticky:query.sid")
    assert made.sessions is not None
    poll, post, later = (call("/?sid=s") for _ in range(3))
    poll.endpoint = home = take(made, poll)
    made.sessions.answered(poll, response(200, {}), 0.0)
    if how == "ejected":
        made.take_out(home, HEALTH)
    else:
        made.become([each for each in made.endpoints if each is not home])
    post.endpoint = second = take(made, post)
    assert second is not home and post.note == MOVED and made.moved == 1
    made.sessions.answered(post, response(200, {}), 1.0)
    made.sessions.answered(poll, response(200, {}), 2.0)
    assert take(made, later) is second and later.note is None and made.moved == 1


def test_a_session_that_begins_at_an_endpoint_that_is_out_by_then_is_there_when_it_is_back() -> None:
    made = upstream([1, 1, 1, 1], "sticky:query.sid")
    assert made.sessions is not None
    for number in range(4):
        first, name = call("/"), f"s{number}"
        first.endpoint = home = take(made, first)
        made.take_out(home, HEALTH)
        made.sessions.learn(first, response(200, {}), b'0{"sid": "%s"}' % name.encode(), 0.0)
        made.put_back(home, HEALTH)
        assert take(made, call(f"/?sid={name}")) is home


def test_a_session_comes_home_when_nobody_asked_for_it_while_its_endpoint_was_away() -> None:
    made = upstream([1, 1], "sticky:query.sid")
    assert made.sessions is not None
    first = call("/?sid=s")
    first.endpoint = home = take(made, first)
    made.sessions.answered(first, response(200, {}), 0.0)
    others = [each for each in made.endpoints if each is not home]
    made.become(others)
    made.become([*others, Endpoint(made, home.host, home.port)])  # it carries a call, so it is the one it was
    again = call("/?sid=s")
    assert take(made, again) is home and again.note is None


def test_a_session_is_known_where_there_is_one_endpoint_and_stays_when_there_are_more_and_after_a_reload() -> None:
    made = upstream([1], "sticky:query.sid")
    for number in range(20):
        first = call(f"/?sid=s{number}")
        first.endpoint = take(made, first)
        assert made.sessions is not None
        made.sessions.answered(first, response(200, {}), 0.0)
    (home,) = made.endpoints
    made.adopt(upstream([1, 1, 1, 1], "sticky:query.sid"))
    assert all(take(made, call(f"/?sid=s{number}")) is home for number in range(20))


def test_of_several_that_are_ill_each_is_tried_when_no_other_is_left() -> None:
    made = upstream([1, 1, 1, 1], "least-held")
    well = made.endpoints[:2]
    for endpoint in made.endpoints[2:]:
        made.take_out(endpoint, HEALTH)
    assert {made.pick(well) for _ in range(100)} == {*made.endpoints[2:]}

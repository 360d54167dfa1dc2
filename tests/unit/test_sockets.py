"""Options of sockets: how a time in which a peer has vanished becomes what a kernel is told, and that listeners hand
it to what they accept.
"""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.addresses import parse_listen
from gateway.edge.listen import bind
from gateway.sockets import VANISHED_AFTER, probing
from tests.kit.sockets import linux_only, options, wanted


def test_half_the_time_is_silence_and_then_there_are_four_probes() -> None:
    assert probing(VANISHED_AFTER) == {
        "TCP_KEEPIDLE": 46, "TCP_KEEPINTVL": 11, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 84_500,
    }  # fmt: skip


@given(st.floats(2, 7200))
def test_every_probe_has_its_chance_and_the_time_is_kept(seconds: float) -> None:
    told = probing(seconds)
    after, every, count, unacknowledged = (
        told[f"TCP_{name}"] for name in ("KEEPIDLE", "KEEPINTVL", "KEEPCNT", "USER_TIMEOUT")
    )
    assert after >= 1 and every >= 1 and 1 <= count <= 4
    assert seconds - 1 < after + count * every <= seconds
    last_probe, given_up = after + (count - 1) * every, after + count * every
    assert last_probe < unacknowledged / 1000 < given_up, "else Linux gives up before the last probe, or too late"


@linux_only
@pytest.mark.parametrize("seconds", [VANISHED_AFTER, 2.0, 7200.0])
def test_accepted_connections_inherit_the_options_of_their_listener(seconds: float) -> None:
    (listening,) = bind(parse_listen("127.0.0.1:0", Path()), seconds)
    listening.setblocking(True)
    with listening, socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
        assert options(accepted) == wanted(seconds)

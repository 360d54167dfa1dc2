"""What a node asks of a Redis server before it lets calls be decided there: everything once, for nobody. A user that
may not do all of it would do things by halves, and be found out only when somebody is to be ended or told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.state.mirror import Mirror
    from gateway.state.redis_desk import Ask

NAME = "trial"  # no hash: nobody is counted under that
MOMENT = 0.001  # seconds


def trial(mirror: Mirror) -> tuple[list[Ask], list[Ask]]:
    """Whether all can be given back again; then tokens and a place are taken, waited for, given on, taken from another
    and given back, and nothing is left."""
    first, second, third = (mirror.number() for _ in range(3))
    bucket, mark = (NAME, MOMENT, 2), (NAME, NAME, 1)
    place, evicting = (NAME, 1, 1, NAME, MOMENT, False), (NAME, 1, 0, "other", MOMENT, True)
    return [("release", first, [mark])], [
        ("take", first, "", 0, True, [bucket], [place]),
        ("take", second, "", 0, True, (), [place]),
        ("release", first, [mark]),
        ("take", second, "", 0, True, (), [place]),
        ("take", third, "", 0, True, (), [evicting]),
        ("keep", second, [mark], True),
        ("release", second, [mark]),
        ("release", third, [(NAME, "other", 1)]),
        ("leave", second, NAME),
        ("refund", *bucket),
    ]

"""Whether the Python we run on was built for speed."""

from __future__ import annotations

import sys
import sysconfig

SLOW = (
    "this Python was built without optimisations, which costs up to a tenth more CPU; that of a distribution, and "
    "that of the image, was built with them (docs/compiled.md)"
)


def optimised() -> bool:
    """Whether it was compiled by a profile of itself: that of a distribution was, and does not always say so, others
    say how they were configured. `pyenv` and a plain `make` leave it out. Where nothing is said it is taken for well
    built, as on Windows."""
    configured = sysconfig.get_config_var("CONFIG_ARGS")
    return sys.base_prefix == "/usr" or configured is None or "--enable-optimizations" in configured

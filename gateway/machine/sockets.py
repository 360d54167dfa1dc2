"""Sockets that whoever started this process has opened for it, as systemd does (sd_listen_fds(3)). `listen = ["fd:3"]`
names them; here nothing is taken but what belongs to nobody else.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, MutableMapping
from contextlib import suppress

from gateway.config.addresses import Listen

logger = logging.getLogger("gateway")

FIRST = 3  # systemd's first descriptor
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")


def handed_over(environ: MutableMapping[str, str], used: Iterable[Listen]) -> None:
    """Takes what is said of them out of `environ`, so that no process that is started from here believes it, and tells
    of those that nobody will ever accept from."""
    said = {name: environ.pop(name, "") for name in _VARIABLES}
    if said["LISTEN_PID"] != str(os.getpid()) or not said["LISTEN_FDS"].isdigit():
        return
    there = range(FIRST, FIRST + int(said["LISTEN_FDS"]))
    for number in there:
        with suppress(OSError):  # whoever listens on it says what is wrong with it
            os.set_inheritable(number, False)
    unused = [f'"fd:{number}"' for number in there if number not in {listen.fd for listen in used}]
    if unused:
        logger.warning("systemd handed over sockets that nobody listens on; add %s to server.listen", ", ".join(unused))

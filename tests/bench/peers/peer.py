"""What the bench knows of a proxy it compares with: how it is started, and which of the gateway's duties it can do.
Each has a module of its own, in which its configuration stands as a user would write it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..proxies import Beside, Ports

SYSTEM = "/usr/sbin:/usr/local/sbin"  # where Debian keeps servers, and not everybody's PATH leads
MANY = 10_000_000
POLL = "/poll?last_event_id=41&timeout=110"


class Limits(NamedTuple):
    """How much everybody may. Who is measured is refused nothing, but asks every limit; who is verified is refused."""

    consumer: int = MANY  # calls of one token before its rate counts
    address: int = MANY  # of one address
    held: int = 3  # polls of one token at a time


Command = Callable[[Ports, Path, Limits], list[str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One proxy. `jwt`, `rates`, `held` and `log` say in a few words by what it does that; empty: it cannot."""

    name: str
    package: str  # how one gets it, for who has it not
    command: Command  # writes the configuration and gives the command
    files: tuple[str, ...] = ()  # of its configuration, for all to read
    programs: tuple[str, ...] = ()  # it needs; none: it is of this project
    version: tuple[str, ...] = ()  # the command that tells it
    jwt: str = ""
    rates: str = ""
    held: str = ""
    log: str = ""
    records: str = ""  # the file its JSON lines are in
    remark: str = ""
    beside: Beside | None = None
    tls: bool = False

    def missing(self) -> str | None:
        """What to do to have it measured too; None when all is there."""
        absent = [name for name in self.programs if not found(name)]
        return f"{self.name} is not installed ({', '.join(absent)} not found): {self.package}" if absent else None

    def told_version(self) -> str:
        """The line in which it tells its version."""
        if not self.version:
            return ""
        program, *rest = self.version
        said = subprocess.run([found(program), *rest], capture_output=True, text=True, timeout=20, check=False)
        lines = (said.stdout + said.stderr).strip().splitlines() or [""]
        return next((line for line in lines if "ersion" in line), lines[0]).strip()


def found(program: str) -> str:
    """Where a program is: on the PATH, where servers are, or beside this Python; empty when it is nowhere."""
    beside = str(Path(sys.executable).parent)
    places = (None, SYSTEM, beside)
    return next((path for place in places if (path := shutil.which(program, path=place))), "")


def written(peer: Peer, directory: Path) -> dict[str, str]:
    """The very text of its configuration."""
    texts = {}
    for name in peer.files:
        with suppress(FileNotFoundError):
            texts[name] = (directory / name).read_text()
    return texts


def descriptors() -> int:
    """Files a process may have open, of which a held poll takes two."""
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]

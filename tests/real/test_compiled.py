"""The compiled gateway (`make compiled`) is the same to who uses it: the tests whose every party talks through sockets
are done with it once more, in a process of their own. Those that look inside, with parts put in place of ours, are not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tests.bench import built

SAME = [  # two minutes of it
    "client_tls", "cors", "endpoints", "errors", "hop_by_hop", "polls", "reload", "requests", "responses", "retries",
    "sessions", "sticky", "stream", "traces", "tunnels_tls", "upstream_tls", "workers", "workers_redis",
]  # fmt: skip
WHY_NOT = built.missing() if shutil.which("cc") else "no C compiler is here to compile the gateway"

pytestmark = [pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""), pytest.mark.timeout(600)]


def compiled(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python in which the gateway is the compiled one, and the tests are these."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run([sys.executable, *arguments], cwd=built.ROOT, env=environ | built.paths(built.ROOT),
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_it_says_that_it_is_compiled() -> None:
    assert compiled("-m", "gateway", "--version").stdout.rstrip().endswith(" (compiled)")


def test_what_is_seen_from_outside_is_the_same() -> None:
    files = [f"tests/wire/test_{name}.py" for name in SAME]
    done = compiled("-m", "pytest", "--import-mode=append", "-p", "no:cacheprovider", *files)
    assert done.returncode == 0, done.stdout[-6000:]

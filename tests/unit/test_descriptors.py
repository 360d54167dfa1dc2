"""File descriptors, in processes of their own: the limit is raised as far as it goes, or one sentence says why not."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from gateway.descriptors import DescriptorError, raise_limit, share

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from gateway.descriptors import DescriptorError, raise_limit
try:
    print(raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except DescriptorError as error:
    print(error)
"""


def raised(soft: int, hard: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard)], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize(("soft", "hard", "limit"), [(64, 512, 512), (256, 512, 512), (512, 512, 512), (128, 128, 128)])
def test_the_soft_limit_becomes_the_hard_one(soft: int, hard: int, limit: int) -> None:
    assert raised(soft, hard) == f"{limit} {limit}"


@pytest.mark.parametrize(("forbidden", "limit"), [(False, 1_048_576), (True, 256)])
def test_no_hard_limit_is_taken_as_a_million_and_one_that_may_not_be_raised_as_it_is(
    monkeypatch: pytest.MonkeyPatch, forbidden: bool, limit: int
) -> None:
    """Linux has no such hard limit, other systems do; a container may forbid to raise it."""
    now = [256, resource.RLIM_INFINITY]

    def setrlimit(which: int, limits: tuple[int, int]) -> None:
        if forbidden:
            raise ValueError("not allowed to raise maximum limit")
        now[:] = limits

    monkeypatch.setattr(resource, "getrlimit", lambda which: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    assert (raise_limit(), now[0]) == (limit, limit)


def test_too_few_are_a_sentence_with_a_remedy() -> None:
    text = raised(64, 100)
    assert text.startswith("only 100 files may be open") and text.endswith("ulimit -n 65536")


@pytest.mark.parametrize(
    ("limit", "wanted", "headroom", "connections"),
    [(128, None, 64, 32), (256, None, 64, 96), (20_000, None, 1000, 9500), (1_048_576, None, 1024, 523_776),
     (20_000, 9500, 1000, 9500), (20_000, 10, 1000, 10)],
)  # fmt: skip
def test_two_a_connection_beside_what_is_kept_back(
    limit: int, wanted: int | None, headroom: int, connections: int
) -> None:
    found = share(limit, wanted)
    assert (found.headroom, found.connections) == (headroom, connections)
    assert 2 * found.connections + found.headroom <= limit
    assert str(limit) in str(found) and str(connections) in str(found)


def test_a_number_that_does_not_fit_is_refused_with_its_arithmetic() -> None:
    with pytest.raises(DescriptorError) as refused:
        share(1024, 500)
    assert str(refused.value) == (
        "server.max_connections = 500 needs 1064 open files (two each, and 64 for the rest), but only 1024 are "
        "allowed; write 480 or less, or raise it with: ulimit -n 2024"
    )

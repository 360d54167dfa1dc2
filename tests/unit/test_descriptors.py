"""File descriptors, in processes of their own: the limit is raised as far as it goes, or one sentence says why not."""

from __future__ import annotations

import subprocess
import sys

import pytest

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


def test_too_few_are_a_sentence_with_a_remedy() -> None:
    text = raised(64, 100)
    assert text.startswith("only 100 files may be open") and text.endswith("ulimit -n 65536")

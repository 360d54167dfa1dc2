"""Bodies that announce too much."""

from __future__ import annotations

import pytest

from gateway.outcome import Outcome
from gateway.pipeline import Refusal
from gateway.policies.body_size import compile_body_size
from tests.kit.calls import call_of, head_of


@pytest.mark.parametrize(
    ("length", "chunked", "refused"),
    [
        (None, False, False),
        (0, False, False),
        (100, False, False),
        (101, False, True),
        (10**30, False, True),
        (None, True, False),
    ],
)
def test_an_announced_length_above_the_limit_is_refused(length: int | None, chunked: bool, refused: bool) -> None:
    verdict = compile_body_size(100)(call_of(head_of(method="POST", length=length, chunked=chunked)))
    assert (verdict is not None) is refused


def test_the_refusal_closes_the_connection() -> None:
    verdict = compile_body_size(100)(call_of(head_of(method="POST", length=101)))
    assert isinstance(verdict, Refusal)
    assert (verdict.outcome, verdict.status, verdict.close) == (Outcome.TOO_LARGE, 413, True)
    assert "100 bytes" in verdict.detail

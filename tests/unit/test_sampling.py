"""Which calls leave a trace: by the class of their ending, by the trace's own id, and as a trusted caller said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from gateway.config.schema import Sample as Table
from gateway.outcome import ENDINGS, Outcome
from gateway.shapes import Sample
from gateway.telemetry.sampling import bound, compile_sample, keeps
from gateway.telemetry.trace import Arrival, Role, outgoing
from tests.kit.calls import call_of, head_of

shares = st.floats(0, 1)
ids = st.integers(1, 2**128 - 1)
HALF = "8" + "0" * 15


@given(shares, ids)
def test_a_share_keeps_what_a_service_behind_keeps_that_samples_by_the_same_ratio(share: float, number: int) -> None:
    decision = TraceIdRatioBased(share).should_sample(None, number, "x").decision
    assert (f"{number:032x}"[16:] < bound(share)) == (decision is Decision.RECORD_AND_SAMPLE)


@given(shares, shares, ids)
def test_a_larger_share_keeps_all_that_a_smaller_one_does(one: float, other: float, number: int) -> None:
    small, large = (bound(share) for share in sorted((one, other)))
    digits = f"{number:032x}"[16:]
    assert not digits < small or digits < large


@pytest.mark.parametrize(("share", "first", "last"), [(0.0, False, False), (0.5, True, False), (1.0, True, True)])
def test_none_is_none_and_all_is_all(share: float, first: bool, last: bool) -> None:
    assert (bound(share) > "0" * 16, bound(share) > "f" * 16) == (first, last)


@pytest.mark.parametrize("first", ["0" * 16, "f" * 16])
@pytest.mark.parametrize(("last", "kept"), [("7" + "f" * 15, True), (HALF, False)])
def test_the_last_digits_of_an_id_decide_here_and_in_what_an_upstream_is_told(
    first: str, last: str, kept: bool
) -> None:
    call = call_of(head_of("/"))
    call.id, call.outcome = first + last, Outcome.NEWS
    sample = compile_sample(Table(news=0.5, empty=0.5), held=True)
    assert keeps(call, sample) == kept
    assert outgoing(call, sample.sent).endswith("-03\r\n") == kept


@pytest.mark.parametrize(
    ("news", "empty", "error", "ordinary", "held"),
    [(0.5, 0, 1, 0.5, 0.5), (0, 0.5, 1, 0, 0.5), (0.5, 0.25, 1, 0.5, 0.5), (0, 0, 1, 0, 0), (1, 0, 0, 1, 1)],
)
def test_an_upstream_is_told_the_largest_share_its_endings_may_have_but_for_errors(
    news: float, empty: float, error: float, ordinary: float, held: float
) -> None:
    table = Table(news=news, empty=empty, error=error)
    assert compile_sample(table, held=False).sent == bound(ordinary)
    assert compile_sample(table, held=True).sent == bound(held)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_ending_belongs_to_the_class_whose_share_decides(outcome: Outcome) -> None:
    for share in ("news", "empty", "error"):
        table = Table(**{**dict.fromkeys(("news", "empty", "error"), 0.0), share: 1.0})
        call = call_of(head_of("/"))
        call.id, call.outcome = "f" * 32, outcome
        assert keeps(call, compile_sample(table, held=True)) == (ENDINGS[outcome].share == share)


@pytest.mark.parametrize(
    ("role", "flags", "outcome", "share", "kept"),
    [
        (Role.ADOPTED, "01", Outcome.EMPTY, 0.0, True),
        (Role.ADOPTED, "03", Outcome.NEWS, 0.0, True),
        (Role.ADOPTED, "00", Outcome.NEWS, 1.0, False),
        (Role.ADOPTED, "02", Outcome.EMPTY, 1.0, False),
        (Role.ADOPTED, "00", Outcome.UPSTREAM_RESET, 1.0, True),
        (Role.ADOPTED, "00", Outcome.UPSTREAM_RESET, 0.0, False),
        (Role.ADOPTED, "01", Outcome.UPSTREAM_RESET, 0.0, True),
        (Role.LINKED, "01", Outcome.NEWS, 0.0, False),
        (Role.LINKED, "00", Outcome.NEWS, 1.0, True),
    ],
)
def test_a_caller_whose_trace_is_adopted_decides_for_all_but_errors(
    role: Role, flags: str, outcome: Outcome, share: float, kept: bool
) -> None:
    call = call_of(head_of("/"))
    call.id, call.outcome = "0" * 31 + "1", outcome
    call.arrival = Arrival("http", 1, "x", "", role, f"00-{'1' * 32}-{'2' * 16}-{flags}")
    assert keeps(call, compile_sample(Table(news=share, empty=share, error=share), held=True)) == kept


def test_without_a_configuration_nothing_is_kept() -> None:
    call = call_of(head_of("/"))
    call.id, call.outcome = "0" * 32, Outcome.INTERNAL_ERROR
    assert not keeps(call, Sample())

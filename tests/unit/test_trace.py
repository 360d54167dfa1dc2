"""Trace context: which traceparent and tracestate can be read, what is kept of a head, and what goes upstream."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace as api
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gateway.call import Call, Try
from gateway.outcome import Outcome
from gateway.telemetry import trace
from gateway.telemetry.sampling import bound
from gateway.telemetry.trace import MAX_STATE, Role, arrivals, read_traceparent, read_tracestate
from gateway.upstream.balance import Upstream
from gateway.upstream.endpoint import Endpoint
from tests.kit.calls import call_of, head_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        ([PARENT], PARENT),
        ([f" \t{PARENT} "], PARENT),
        ([f"00-{TRACE}-{SPAN}-ff"], f"00-{TRACE}-{SPAN}-ff"),  # flags nobody knows yet
        ([f"01-{TRACE}-{SPAN}-01"], f"01-{TRACE}-{SPAN}-01"),
        ([f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"], f"cc-{TRACE}-{SPAN}-01"),
        ([f"cc-{TRACE}-{SPAN}-01-"], f"cc-{TRACE}-{SPAN}-01"),
        ([f"cc-{TRACE}-{SPAN}-01.what"], None),
        ([f"cc-{TRACE}-{SPAN}-0"], None),
        ([f"{PARENT}-what"], None),  # version 00 has nothing behind its flags
        ([f"{PARENT}-"], None),
        ([f"ff-{TRACE}-{SPAN}-01"], None),
        ([f"0-{TRACE}-{SPAN}-01"], None),
        ([f"000-{TRACE}-{SPAN}-01"], None),
        ([f"0x-{TRACE}-{SPAN}-01"], None),
        ([f"00-{'0' * 32}-{SPAN}-01"], None),
        ([f"00-{TRACE}-{'0' * 16}-01"], None),
        ([f"00-{TRACE[:-1]}-{SPAN}-01"], None),
        ([f"00-{TRACE}0-{SPAN}-01"], None),
        ([f"00-{TRACE}-{SPAN[:-1]}-01"], None),
        ([f"00-{TRACE}-{SPAN}0-01"], None),
        ([f"00-{TRACE}-{SPAN}-1"], None),
        ([f"00-{TRACE}-{SPAN}-001"], None),
        ([f"00-{TRACE}-{SPAN}"], None),
        ([PARENT.upper()], None),
        ([f"00-{TRACE}-{SPAN.upper()}-01"], None),
        ([f"00-{TRACE[:-1]}.-{SPAN}-01"], None),
        ([f"00-{TRACE[:-1]}\u0661-{SPAN}-01"], None),
        ([PARENT.replace("-", "_")], None),
        ([f"{PARENT}\n"], None),
        ([f"{PARENT},{PARENT}"], None),
        ([PARENT, PARENT], None),
        ([""], None),
        ([], None),
    ],
)
def test_a_traceparent_counts_if_it_is_the_only_one_and_well_formed(lines: list[str], read: str | None) -> None:
    assert read_traceparent(lines) == read


near = st.lists(
    st.sampled_from(["00", "01", "ff", "-", TRACE, SPAN, "0" * 32, "0" * 16, "0", "a", "A", "g", " ", ".", "\t"]),
    min_size=5,
    max_size=9,
).map("".join)


@given(near | near.map(lambda text: f"{PARENT}{text}") | near.map(lambda text: f"cc{PARENT[2:]}{text}") | st.text())
def test_what_counts_is_what_other_programs_read(text: str) -> None:
    context = TraceContextTextMapPropagator().extract({"traceparent": text})
    found = api.get_current_span(context).get_span_context()
    read = read_traceparent([text])
    if read is None:
        assert not found.is_valid or text != text.strip(" \t\n")  # a line break within is no header
    else:
        assert (found.trace_id, found.span_id) == (int(read[3:35], 16), int(read[36:52], 16))


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        ([], ""),
        ([""], ""),
        (["a=1"], "a=1"),
        (["a=1 , b=2\t,,", "c=3"], "a=1,b=2,c=3"),
        (["a=1,b=2,a=3"], "a=1,b=2"),
        (["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        (["fw529a3039@dt=FfAAAA,1st*/_-x=!~"], "fw529a3039@dt=FfAAAA,1st*/_-x=!~"),
        (["a= 1"], "a= 1"),
        (["a=1,B=2"], ""),
        (["a=1,b"], ""),
        (["a=1,b="], ""),
        (["a=1,=2"], ""),
        (["a=1=2"], ""),
        (["a=\u00e9"], ""),
        (["a=\x01"], ""),
        ([f"{'a' * 257}=1"], ""),
        ([f"a={'x' * 257}"], ""),
        ([",".join(f"a{n}=1" for n in range(32))], ",".join(f"a{n}=1" for n in range(32))),
        ([",".join(f"a{n}=1" for n in range(33))], ""),
        ([f"a={'x' * 200},b=1,c={'x' * 200},d={'x' * 200}"], f"b=1,c={'x' * 200},d={'x' * 200}"),
        ([",".join(f"a{n:02}={'x' * 100}" for n in range(6))], ",".join(f"a{n:02}={'x' * 100}" for n in range(4))),
    ],
)
def test_a_tracestate_counts_as_a_whole_or_not_at_all(lines: list[str], read: str) -> None:
    assert read_tracestate(lines) == read


member = st.builds(
    lambda key, value: f"{key}={value}",
    st.from_regex(r"[a-z0-9][a-z0-9_\-*/@]{0,20}", fullmatch=True),
    st.from_regex(r"[!-+\--<>-~]{1,200}", fullmatch=True),
)


@given(st.lists(st.lists(member | st.text(max_size=9), max_size=9).map(",".join), max_size=4))
def test_a_tracestate_that_travels_on_is_short_and_read_alike_by_the_next(lines: list[str]) -> None:
    read = read_tracestate(lines)
    assert len(read) <= MAX_STATE and read_tracestate([read] if read else []) == read
    assert set(read.split(",")) - {""} <= {one.strip(" \t") for one in ",".join(lines).split(",")}


FIELDS = (("traceparent", PARENT), ("tracestate", "a=1"), ("User-Agent", "test/1"))


@pytest.mark.parametrize(
    ("traced", "adopt", "fields", "kept"),
    [
        (True, False, FIELDS, (Role.LINKED, PARENT, "", "test/1")),
        (True, True, FIELDS, (Role.ADOPTED, PARENT, "a=1", "test/1")),
        (False, True, FIELDS, (Role.PASSED, PARENT, "a=1", "test/1")),
        (True, True, FIELDS[1:], (Role.NONE, "", "", "test/1")),  # a state without a parent means nothing
        (True, True, (("traceparent", "00-x"), *FIELDS[1:]), (Role.NONE, "", "", "test/1")),
        (True, False, (), (Role.NONE, "", "", "")),
        (False, True, FIELDS[1:], None),
    ],
)
def test_of_a_head_is_kept_what_spans_show(
    traced: bool, adopt: bool, fields: Sequence[tuple[str, str]], kept: tuple[Role, str, str, str] | None
) -> None:
    read = arrivals(traced, adopt)
    assert read is not None
    found = read(head_of("/", *fields))
    assert kept == (None if found is None else (found.role, found.parent, found.state, found.agent))
    assert found is None or (found.scheme, found.host) == ("http", "gateway.test")


def test_nothing_is_kept_where_nobody_traces() -> None:
    assert arrivals(False, False) is None


def test_parked_polls_of_one_kind_of_client_share_what_is_kept_of_their_heads() -> None:
    read = arrivals(True, True)
    assert read is not None
    first, second = (read(head_of(f"/{n}", ("User-Agent", "test/1"))) for n in range(2))
    assert first is second


def test_what_is_kept_of_one_poll_alone_is_small() -> None:
    read = arrivals(True, False)
    assert read is not None
    found = read(head_of("/", *FIELDS))
    assert found is not None
    assert sys.getsizeof(found) + sys.getsizeof(found.parent) <= 256  # bytes


def calling(role: Role = Role.NONE, parent: str = PARENT, state: str = "", tries: int = 0) -> Call:
    call = call_of(head_of("/"))
    call.id = "f" * 16 + "7" + "0" * 15
    endpoint = Endpoint(Upstream("up"), "10.0.0.1", 80)
    call.tries = (Try(endpoint, 0.0, 0.0, True, Outcome.UPSTREAM_RESET),) * tries
    if role is not Role.NONE:
        call.arrival = trace.Arrival("http", 1, "x", "", role, parent, state)
    return call


OWN = f"00-{'f' * 16}7{'0' * 15}-{'f' * 14}01"


@pytest.mark.parametrize(
    ("call", "share", "lines"),
    [
        (calling(), 0.5, [f"traceparent: {OWN}-03"]),
        (calling(), 0.4, [f"traceparent: {OWN}-02"]),
        (calling(), 0.0, [f"traceparent: {OWN}-02"]),
        (calling(), 1.0, [f"traceparent: {OWN}-03"]),
        (calling(tries=1), 0.0, [f"traceparent: {OWN[:-1]}2-02"]),
        (calling(Role.LINKED), 0.0, [f"traceparent: {OWN}-02"]),
        (calling(Role.ADOPTED), 0.0, [f"traceparent: 00-{TRACE}-{'f' * 14}01-01"]),
        (calling(Role.ADOPTED, PARENT[:-2] + "fe", "a=1"), 1.0,
         [f"traceparent: 00-{TRACE}-{'f' * 14}01-02", "tracestate: a=1"]),
        (calling(Role.ADOPTED, "cc" + PARENT[2:]), 0.0, [f"traceparent: 00-{TRACE}-{'f' * 14}01-01"]),
        (calling(Role.PASSED, PARENT, "a=1,b=2"), 0.0, [f"traceparent: {PARENT}", "tracestate: a=1,b=2"]),
    ],
)  # fmt: skip
def test_an_upstream_is_told_the_trace_and_whether_it_is_kept(call: Call, share: float, lines: list[str]) -> None:
    assert trace.outgoing(call, bound(share)).split("\r\n") == [*lines, ""]
    assert read_traceparent([lines[0].removeprefix("traceparent: ")]) is not None


@pytest.mark.parametrize(("role", "own"), [(Role.NONE, True), (Role.LINKED, True), (Role.ADOPTED, False),
                                           (Role.PASSED, False)])  # fmt: skip
def test_a_call_belongs_to_its_own_trace_unless_its_callers_was_adopted(role: Role, own: bool) -> None:
    call = calling(role)
    assert trace.trace_id(call) == (call.id if own else TRACE)


def test_a_gateway_that_sends_nothing_loads_nothing_of_opentelemetry() -> None:
    script = "import sys, gateway.app; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"

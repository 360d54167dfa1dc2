"""Trace context (W3C Trace Context, level 2): what a caller sent of it, where it can be read, and what goes upstream in
its place. The ids of a call's spans follow from its own id, so that a parked call keeps nothing for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.head import Arrived

if TYPE_CHECKING:
    from gateway.call import Call
    from gateway.head import RequestHead

MAX_AGENT: Final = 256  # characters of a User-Agent that are kept
MAX_STATE: Final = 512  # characters of a tracestate that travel on (3.3.1.5: at least so many)
MAX_MEMBERS: Final = 32
LONG_MEMBER: Final = 128  # characters; longer entries go first
_NUMBERS: Final = tuple(f"{number:02x}" for number in range(256))
_PARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_MEMBER: Final = re.compile(r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]")


class Role(IntEnum):
    """What a caller's trace is to a call."""

    NONE = 0  # there is none
    LINKED = 1  # the call has a trace of its own, which names the caller's
    ADOPTED = 2  # the call's spans belong to it
    PASSED = 3  # it passes by: no spans are made here


# As globals: on CPython 3.11 an enum's attribute costs four times a global.
NONE: Final[Role] = Role.NONE
LINKED: Final[Role] = Role.LINKED
ADOPTED: Final[Role] = Role.ADOPTED
PASSED: Final[Role] = Role.PASSED


class Arrival(NamedTuple):
    """What a call's head said that its spans show. `parent` is the caller's traceparent, cut after its flags."""

    scheme: str = ""
    version: int = 1
    host: str = ""
    agent: str = ""
    role: Role = NONE
    parent: str = ""
    state: str = ""

    @property
    def trace_id(self) -> str:
        return self.parent[3:35]

    @property
    def span_id(self) -> str:
        return self.parent[36:52]

    @property
    def flags(self) -> int:
        """Sampled (1) and random (2); nobody knows what others mean."""
        return int(self.parent[53:55], 16) & 3

    @property
    def sampled(self) -> bool:
        return bool(self.flags & 1)


Arrives = Callable[["RequestHead"], Arrival | None]


def arrivals(traced: bool, adopt: bool) -> Arrives | None:
    """What to keep of a head. `traced`: spans are made here; `adopt`: callers are believed. None: nothing is kept."""
    if not traced and not adopt:
        return None
    return _Reader(traced, adopt).read


class _Reader:
    __slots__ = ("_adopt", "_role", "_traced")

    def __init__(self, traced: bool, adopt: bool) -> None:
        self._traced = traced
        self._adopt = adopt
        self._role = LINKED if not adopt else ADOPTED if traced else PASSED

    def read(self, head: RequestHead) -> Arrival | None:
        """Once for all requests of a connection that have the same fields."""
        repeats = head.repeats
        if repeats is None:
            return self._read(head)
        known = repeats.arrived
        if known is None or known.by is not self or known.scheme != head.scheme:
            known = repeats.arrived = Arrived(self, head.scheme, self._read(head))
        return known.arrival

    def _read(self, head: RequestHead) -> Arrival | None:
        headers = head.headers
        parent = read_traceparent(headers.getall("traceparent")) if "traceparent" in headers else None
        if parent is None and not self._traced:
            return None
        seen = _seen(head.scheme, head.version, head.host, headers.get("User-Agent", "")[:MAX_AGENT])
        if parent is None:
            return seen
        state = read_tracestate(headers.getall("tracestate", ())) if self._adopt else ""
        return Arrival(*seen[:4], self._role, parent, state)


@lru_cache(maxsize=1024)
def _seen(scheme: str, version: int, host: str, agent: str) -> Arrival:
    """One object for all calls of the same kind of client: parked polls are many, browsers few."""
    return Arrival(scheme, version, host, agent)


def read_traceparent(lines: Sequence[str]) -> str | None:
    """The 55 characters of a traceparent that count (3.2), None where there is not exactly one that can be read."""
    match = _PARENT.fullmatch(lines[0].strip(" \t")) if len(lines) == 1 else None
    if match is None or (match[1] == "00" and match[2] is not None):
        return None
    return match[0][:55]


def read_tracestate(lines: Sequence[str]) -> str:
    """A tracestate in one line (3.3), "" when any of it is malformed. Of equal keys the first counts."""
    members: dict[str, str] = {}
    for part in ",".join(lines).split(","):
        member = part.strip(" \t")
        if not member:
            continue
        if not _MEMBER.fullmatch(member):
            return ""
        members.setdefault(member.partition("=")[0], member)
    return _shortened(list(members.values())) if len(members) <= MAX_MEMBERS else ""


def _shortened(members: list[str]) -> str:
    """Whole entries are left out where it is too long: long ones first, then from the end (3.3.1.5)."""
    while len(text := ",".join(members)) > MAX_STATE:
        members.pop(next((at for at, one in enumerate(members) if len(one) > LONG_MEMBER), -1))
    return text


def trace_id(call: Call) -> str:
    """The trace of a call, 32 hexadecimal digits: its own id, unless it belongs to a trace of its caller's."""
    arrival = call.arrival
    if arrival is None or not arrival.parent or arrival.role < ADOPTED:  # most have no parent, which costs least to see
        return call.id
    return arrival.trace_id


def span_id(call: Call, number: int) -> str:
    """The spans of a call, 16 hexadecimal digits: 0 is the call itself, 1 its first attempt, and so on."""
    return call.id[:14] + _NUMBERS[number & 255]


def outgoing(call: Call, bound: str) -> str:
    """The header lines of the attempt that begins now. `bound` is the largest trace id that is told to be kept, by its
    last 16 digits."""
    arrival, call_id = call.arrival, call.id
    own = call_id[:14] + _NUMBERS[len(call.tries) + 1]  # `span_id`
    if arrival is None or arrival.role < ADOPTED:  # a trace of our own, and its id is random (level 2, 3.2.2.5.2)
        return f"traceparent: 00-{call_id}-{own}-0{'3' if call_id[16:] < bound else '2'}\r\n"
    parent = arrival.span_id if arrival.role is PASSED else own
    state = f"tracestate: {arrival.state}\r\n" if arrival.state else ""
    return f"traceparent: 00-{arrival.trace_id}-{parent}-{arrival.flags:02x}\r\n{state}"

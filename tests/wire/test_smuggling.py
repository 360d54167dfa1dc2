"""No bytes of one request ever become another. Every case of the corpus, and what Hypothesis makes of its grammar, is
sent with an innocent request behind it, whole and byte by byte, to a gateway before a strict recording upstream.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit.gateways import config, gateway
from tests.kit.raw import client
from tests.kit.strict import Cut, Message
from tests.kit.upstreams import ScriptedUpstream, Step, answer

from .corpus import (
    BAD_CODINGS,
    BAD_FIELDS,
    BAD_LENGTHS,
    BAD_NAMES,
    BAD_SIZES,
    GOOD_CODINGS,
    SMUGGLED,
    Case,
    corpus,
    head,
)

INNOCENT = b"GET /innocent HTTP/1.1\r\nHost: localhost\r\nX-Case: %d\r\nConnection: close\r\n\r\n"
# What is never completed ends by these; byte by byte, and on a busy machine, a head may take long.
CLOCKS = 'header_timeout = "4s"\nbody_idle_timeout = "4s"\nkeepalive_timeout = "4s"'
AT_ONCE = 40


def tell(request: Message) -> list[Step]:
    body = b"" if request.method == "HEAD" else b"ok"
    return [answer(body, "200 OK", f"X-Upstream: {request.method} {request.target}")]


async def verdict(port: int, up: ScriptedUpstream, number: int, case: Case, bytewise: bool) -> str | None:
    """Plays one case; says what is wrong, or None."""
    data = case.data.replace(b"NNNN", b"%04d" % number) + INNOCENT % number
    async with client(port) as raw:
        try:
            await (raw.send_bytewise(data) if bytewise else raw.send(data))
        except ConnectionError:
            pass
        method = "HEAD" if case.data.startswith(b"HEAD") else "GET"
        answers: list[Message] = []
        try:
            while True:
                answers.append(await raw.read_answer(method))
                method = "GET"
        except Cut as cut:
            if cut.message is not None or raw.left:
                return f"an answer was cut: {cut.message} {raw.left!r}"
    return judge(up, number, case, answers)


def judge(up: ScriptedUpstream, number: int, case: Case, answers: list[Message]) -> str | None:
    theirs = [found for found in answers if found.one("X-Upstream")]
    ours = [found for found in answers if not found.one("X-Upstream")]
    own = (f"/case-{number:04}", f"/smuggled-{number:04}")
    seen = [
        request
        for request in up.requests
        if request.complete and (request.target in own or request.one("X-Case") == str(number))
    ]
    said = sorted(f"{request.method} {request.target}" for request in seen)
    if sorted(found.one("X-Upstream") or "" for found in theirs) != said:
        return f"the upstream saw {said}, the client was answered {[found.one('X-Upstream') for found in theirs]}"
    if ours and ours[-1] is not answers[-1]:
        return f"served on after an error: {[found.status for found in answers]}"
    if any(found.status >= 500 and found.status not in (501, 505) for found in answers):
        return f"a server error: {[found.status for found in answers]}"
    if case.refused and (seen or len(ours) != 1):
        return f"not refused: {[found.status for found in answers]}, upstream saw {said}"
    if not case.refused and any("smuggled" in one for one in said) and b"0\r\nX: y\r\n" not in case.data:
        return f"smuggled: {said}"
    return None


async def play(cases: list[Case], folder: Path, *, bytewise: bool) -> dict[str, str]:
    """All cases, many at a time, through one gateway; what went wrong by name."""
    wrong: dict[str, str] = {}
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, case: Case) -> None:
        async with room:
            said = await verdict(gw.port, up, number, case, bytewise)
        if said:
            wrong[case.name] = said

    async with ScriptedUpstream(then=tell, faults=True) as up, gateway(config(up.port, server=CLOCKS), folder) as gw:
        await asyncio.gather(*(one(number, case) for number, case in enumerate(cases)))
        if up.faults:
            wrong["the upstream"] = str(up.faults)
        return wrong


def test_the_corpus_is_large() -> None:
    assert len(corpus()) >= 150


async def test_no_case_smuggles(tmp_path: Path) -> None:
    assert await play(corpus(), tmp_path, bytewise=False) == {}


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_no_case_smuggles_byte_by_byte(tmp_path: Path) -> None:
    assert await play(corpus(), tmp_path, bytewise=True) == {}


def grammar() -> st.SearchStrategy[Case]:
    """Heads with any mixture of framing fields, good and bad, and bodies that fit some of them."""
    length = st.sampled_from([*BAD_LENGTHS, "0", "5", "43"]).map(lambda value: f"Content-Length: {value}")
    coding = st.sampled_from([*BAD_CODINGS, *GOOD_CODINGS]).map(lambda value: f"Transfer-Encoding: {value}")
    odd = st.sampled_from(BAD_NAMES).map(lambda form: f"{form.format('Transfer-Encoding')}: chunked")
    other = st.sampled_from([*BAD_FIELDS, "X: y", "Connection: close, Content-Length", "Upgrade: h2c", "TE: trailers"])
    fields = st.lists(st.one_of(length, coding, odd, other), max_size=4)
    size = st.one_of(st.just("5"), st.sampled_from(BAD_SIZES)).map(lambda text: text.encode("latin-1"))
    body = st.one_of(
        st.just(b""), st.just(b"AAAAA"), st.just(SMUGGLED), size.map(lambda one: one + b"\r\nAAAAA\r\n0\r\n\r\n"),
        st.binary(max_size=12), st.just(b"0\r\n\r\n" + SMUGGLED),
    )  # fmt: skip
    line = st.sampled_from(["POST /case-NNNN HTTP/1.1", "GET /case-NNNN HTTP/1.1", "POST /case-NNNN HTTP/1.0"])
    end = st.sampled_from(["\r\n"] * 8 + ["\n"])
    heads = st.builds(lambda one, more, by: head(one, "Host: localhost", *more, end=by), line, fields, end)
    return st.builds(lambda one, two: Case(repr(one + two), one + two, refused=False), heads, body)


@pytest.mark.asyncio(loop_factories=["uvloop"])
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(grammar(), min_size=4, max_size=25, unique_by=lambda case: case.name))
async def test_nothing_of_the_grammar_splits_or_joins_requests(tmp_path: Path, cases: list[Case]) -> None:
    wrong = await play(cases, tmp_path, bytewise=False)
    assert not {name: said for name, said in wrong.items() if not said.startswith("smuggled")}

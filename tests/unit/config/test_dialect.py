"""A hold table compiled: what of it reads bodies, and what a poll is told by keys that only some protocols need."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.dialect import compile_hold
from gateway.config.merge import merge_route
from gateway.head import Known
from gateway.holds.plan import HoldPlan
from tests.kit.heads import FORM, head, posted, response

from .kit import BASE, ROUTE, sound

TEMPLATE = 'empty = { answer = "template", status = 200, headers = { Content-Type = "text/plain" }'
HANDSHAKE = (
    'ask = [{ in = "session", name = "json:/pingInterval", unit = "ms" }]\nover_max = "pass"\n'
    'session = { key = "query:sid", when = ["query:sid absent"], id = "json:/sid", skip = "^0", keep = "2m" }'
)
XML_HANDSHAKE = (
    'when = ["xml:@sid present", "method == POST"]\nask = [{ in = "session", name = "xml:@wait" }]\nover_max = "pass"\n'
    'session = { key = "xml:@sid", when = ["xml:@sid absent", "method == PUT"], id = "xml:@sid" }'
)


def compiled(folder: Path, table: str, path: str = "/r") -> HoldPlan:
    server = '[server]\ndrain = "70s"\nstop_grace = "80s"\n'
    route = ROUTE.replace('["signed"]', '["signed", "p"]').replace('"/r"', f'"{path}"')
    text = f'{BASE}{server}{route}[policy.p.hold]\nabsent = "25s"\n{table}\n'
    merged = merge_route(sound(folder, text), sound(folder, text).routes[0])
    assert merged.hold is not None
    return compile_hold(merged.hold, merged.dialect, merged.route.match.path)


@pytest.mark.parametrize(
    "table",
    [
        "",
        'when = ["query:a present", "header:json present"]',
        'ask = [{ in = "query", name = "json" }]\nrewrite = true',
        'idle = ["json:/items == []", "body empty"]',
        f'{TEMPLATE}, body = "{{query:a}}", needs = ["query:a present"] }}',
        HANDSHAKE,
    ],
)
def test_a_dialect_that_looks_into_no_body_reads_none(tmp_path: Path, table: str) -> None:
    plan = compiled(tmp_path, table)
    assert (plan.body_limit, plan.head_when) == (0, None)


@pytest.mark.parametrize(
    "table",
    [
        'when = [{ not = "json:/returnImmediately == true" }]',
        'ask = [{ in = "form", name = "wait" }]\nrewrite = true',
        'cursor = { request = ["query:a", "form:a"] }',
        'key = "json:/clientId"',
        f'{TEMPLATE}, body = "", needs = ["json:/a present"] }}',
        'unbounded = ["form:a present"]',
        'signed = ["form:signature present"]',
        XML_HANDSHAKE,
    ],
)
def test_a_dialect_that_looks_into_a_body_reads_it_up_to_a_limit(tmp_path: Path, table: str) -> None:
    assert compiled(tmp_path, table).body_limit == 65_536
    assert compiled(tmp_path, f'{table}\nbody_limit = "1KiB"').body_limit == 1024


@pytest.mark.parametrize(
    ("table", "methods"),
    [
        ('when = ["method == POST", "json:/a present"]', ["POST"]),
        ('when = [{ all = ["method in (POST, PUT)", "json:/a present"] }]', ["POST", "PUT"]),
        ('when = [{ any = ["method == POST", "json:/a present"] }]', ["GET", "POST", "PUT"]),
        ('ask = [{ in = "json", name = "/a" }]\nrewrite = true', ["GET", "POST", "PUT"]),
        (XML_HANDSHAKE, ["POST", "PUT"]),
    ],
)
def test_a_body_is_read_only_where_the_head_leaves_it_open(tmp_path: Path, table: str, methods: list[str]) -> None:
    head_when = compiled(tmp_path, table).head_when
    assert head_when is not None
    assert [method for method in ("GET", "POST", "PUT") if head_when(head(method, "/r"))] == methods


def test_every_key_that_only_some_protocols_need_arrives_in_the_plan(tmp_path: Path) -> None:
    table = (
        'key = "header:X-Token"\nsecret = ["header:x-token", "query:since"]\nconcurrency = "many"\nmin_repoll = "2s"\n'
        'early_headers = true\nunbounded = ["query:heartbeat present"]\nsigned = ["query:sig present"]\n'
        'loser = { status = 423, headers = { X-A = "b" }, body = "gone" }\ncursor = { request = ["query:since"] }'
    )
    plan = compiled(tmp_path, table)
    poll = head("GET", "/r?heartbeat=1&sig=x&since=3", {"X-Token": "t"})
    assert plan.key is not None
    assert plan.unbounded is not None
    assert plan.signed is not None
    assert (plan.key(poll), plan.unbounded(poll), plan.signed(poll)) == ("t", True, True)
    assert (plan.min_repoll, plan.early_headers, plan.concurrency) == (2.0, True, "many")
    assert plan.loser is not None
    assert (plan.loser.status, dict(plan.loser.headers)[b"X-A"], plan.loser.body) == (423, b"b", b"gone")
    assert plan.cursor(poll) is None  # it is secret


def test_what_is_not_written_costs_nothing(tmp_path: Path) -> None:
    plan = compiled(tmp_path, "")
    assert (plan.key, plan.unbounded, plan.signed, plan.session) == (None, None, None, None)
    assert (plan.fixed, plan.endless, plan.last, plan.early_headers, plan.min_repoll) == (None, None, (), False, 0.0)


def test_a_session_is_learnt_from_an_answer(tmp_path: Path) -> None:
    session = compiled(tmp_path, HANDSHAKE).session
    assert session is not None
    opened = b'0{"sid":"a","pingInterval":25000}'
    assert (session.id(response(200), opened), session.hold(response(200), opened), session.keep) == ("a", 25.0, 120.0)


def test_header_fields_of_the_last_answer_are_remembered_where_something_looks_at_them(tmp_path: Path) -> None:
    plan = compiled(tmp_path, f'{TEMPLATE}, body = "", needs = ["last:Stream-Cursor present", "last:ETag present"] }}')
    assert plan.last == ("stream-cursor", "etag")
    poll = head("GET", "/r")
    poll.known = Known(None, {"stream-cursor": "1", "etag": "2"})
    assert plan.template is not None
    assert plan.template.needs(poll)


def test_a_wish_in_the_path_knows_the_path_of_its_route(tmp_path: Path) -> None:
    plan = compiled(tmp_path, 'ask = [{ in = "path", name = "wait" }]\nrewrite = true', "/r/{wait}")
    assert plan.ask[0].template == "/r/{wait}"


def test_polls_that_count_differently_have_a_plan_of_their_own(tmp_path: Path) -> None:
    table = 'ask = [{ in = "form", name = "w" }]\nrewrite = true\nunbounded = ["form:heartbeat present"]'
    plan = compiled(tmp_path, table)
    assert plan.writable
    assert plan.fixed is not None
    assert plan.endless is not None
    assert (plan.fixed.writable, plan.endless.writable, plan.endless.ask) == (False, False, ())
    assert plan.endless.unbounded is not None
    assert plan.endless.unbounded(posted("/r", "heartbeat=1", FORM))

"""Places that cannot be read, and those that the route or another key would have to provide: one line each, where it
is written, with what to write instead.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, ROUTE, checked

SERVER = '[server]\ndrain = "70s"\nstop_grace = "80s"\n'
SESSION = 'session = { key = "query:sid", when = ["query:sid absent"], id = "json:/sid"'
AGREED = 'ask = [{ in = "session", name = "json:/hold" }]\nover_max = "pass"\n'


def problems(folder: Path, table: str, route: str = ROUTE.replace('["signed"]', '["signed", "p"]')) -> list[str]:
    text = f'{BASE}{SERVER}[policy.p.hold]\nabsent = "25s"\n{table}\n{route}'
    return [line.removeprefix("gateway.toml: policy.p.hold.") for line in checked(folder, text).problems]


@pytest.mark.parametrize(
    ("place", "name", "says"),
    [
        ("json", "timeout", 'is not a JSON pointer; write "/timeout"'),
        ("json", "/*/timeout", 'leads to many values; write an index, such as "/0/timeout"'),
        ("json", "/a~2", "`json:/a~2`: `~` is written ~0 in a JSON pointer, `/` inside a name ~1 (RFC 6901)"),
        ("xml", "wait", 'is not an attribute of the root element; write "@wait"'),
        ("xml", "a/@wait", 'is not an attribute of the root element; write "@a/@wait"'),
        ("header", "a b", "`header:a b`: `a b` is not a header name; write header:NAME"),
        ("header-item", "Prefer", 'is not an item of a header; write "HEADER/ITEM", such as "Prefer/wait"'),
    ],
)
def test_the_name_of_a_place_to_ask_at_must_be_one(tmp_path: Path, place: str, name: str, says: str) -> None:
    table = f'over_max = "pass"\nask = [{{ in = "query", name = "a" }}, {{ in = "{place}", name = "{name}" }}]'
    assert problems(tmp_path, table) == [f"ask[1].name: {says}"]


@pytest.mark.parametrize(
    ("table", "line"),
    [
        (
            'key = "pat:token"',
            "key: `pat:token` names no place in a request, did you mean `path`?; write query:NAME, header:NAME",
        ),
        ('key = "xml:sid"', "key: `xml:sid`: of XML only attributes of the root are looked at; write xml:@NAME"),
        (
            'unbounded = ["query:heartbeat"]',
            "unbounded: `query:heartbeat` says where but not what; write query:heartbeat present or",
        ),
        (
            'signed = ["json:sig present"]',
            "signed: `json:sig present`: a JSON pointer begins with a slash; write json:/sig",
        ),
        ('loser = { status = 204, body = "x" }', "loser.body: a 204 has no body; remove body, or write another status"),
        (
            f"{AGREED}{SESSION.replace('query:sid', 'consumer', 1)} }}",
            'session.key: `consumer` names no session; write where polls do, such as "query:sid" or "json:/clientId"',
        ),
        (
            f'{AGREED}{SESSION}, skip = "(" }}',
            "session.skip: `(` is not a regular expression (missing ), unterminated subpattern at position 0); write",
        ),
        (
            f"{AGREED}{SESSION.replace('query:sid absent', 'form:sid')} }}",
            "session.when: `form:sid` says where but not what; write form:sid present or form:sid == VALUE",
        ),
        (
            f"{AGREED}{SESSION.replace('json:/sid', 'json:/a~3')} }}",
            "session.id: `json:/a~3`: `~` is written ~0 in a JSON pointer, `/` inside a name ~1 (RFC 6901)",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_is_written(tmp_path: Path, table: str, line: str) -> None:
    (problem,) = problems(tmp_path, table)
    assert problem.startswith(line)


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ('ask = [{ in = "path", name = "token" }]\nover_max = "pass"', "ask"),
        ('key = "path:token"', "key"),
        ('when = [{ any = ["path:token present", "query:a present"] }]', "when"),
        ('cursor = { request = ["query:a", "path:token"] }', "cursor.request"),
        (f"{AGREED}{SESSION.replace('query:sid', 'path:token', 1)} }}", "session.key"),
    ],
)
def test_a_part_of_the_path_must_be_in_the_routes_path(tmp_path: Path, table: str, key: str) -> None:
    says = "`path:token`: the path of route 'r' has no {token}; write it there, such as path = \"/r/{token}\""
    assert problems(tmp_path, table) == [f"{key}: {says}"]
    route = ROUTE.replace('["signed"]', '["signed", "p"]')
    assert problems(tmp_path, table, route.replace('"/r"', '"/r/{token}"')) == []
    assert "did you mean `toke`?" in problems(tmp_path, table, route.replace('"/r"', '"/r/{toke}"'))[0]


def test_a_session_needs_somebody_who_asks_and_somebody_who_begins_it(tmp_path: Path) -> None:
    assert problems(tmp_path, AGREED) == [
        "ask: a session's hold is asked for, but nothing says where it begins; write session with key, when and id"
    ]
    (unasked,) = problems(tmp_path, f"{SESSION} }}")
    assert unasked.startswith('session: nothing asks for what it learns; write ask = [{ in = "session", name =')
    assert problems(tmp_path, f"{AGREED}{SESSION} }}") == []


@pytest.mark.parametrize("ask", ['{ in = "session", name = "json:/hold" }', '{ in = "xml", name = "@wait" }'])
def test_a_wish_that_cannot_be_rewritten_is_not_to_be(tmp_path: Path, ask: str) -> None:
    session = f"{SESSION} }}" if "session" in ask else ""
    table = f'ask = [{ask}]\nover_max = "pass"\n{session}\nrewrite = '
    assert problems(tmp_path, f"{table}false") == []
    assert problems(tmp_path, f"{table}true") == [
        "rewrite: no other wish can be written into XML, or into a session that has begun; write rewrite = false"
    ]


def test_no_client_asks_for_more_than_an_edge_waits_where_only_the_server_says_how_long(tmp_path: Path) -> None:
    server = SERVER + 'front = { name = "aws-alb", idle_timeout = "60s" }\n'
    route = ROUTE.replace('["signed"]', '["signed", "p"]')

    def found(ask: str) -> list[str]:
        table = f'[policy.p.hold]\nabsent = "25s"\nmax = "25s"\n{ask}{SESSION} }}\n'
        return checked(tmp_path, f"{BASE}{server}{table}{route}").problems

    assert found(AGREED) == []
    (line,) = found(AGREED.replace("[{", '[{ in = "query", name = "timeout" }, {'))
    assert "a poll that asks for more than front aws-alb waits, 60s, would end in a 504" in line


def test_a_wish_that_cannot_be_rewritten_cannot_be_clamped(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, 'ask = [{ in = "xml", name = "@wait" }]')
    assert line.endswith('the upstream is not told; write over_max = "pass", or over_max = "reject"')


def test_a_template_may_use_only_what_a_request_has(tmp_path: Path) -> None:
    table = 'empty = { answer = "template", body = "", needs = ["query:b present"]'
    text = f'{table}, headers = {{ X-A = "{{query:a}}", X-B = "{{query:b}}" }} }}'
    assert problems(tmp_path, text) == [
        'empty.body: uses {query:a}, which a request may lack; write needs = ["query:a present"]'
    ]


@pytest.mark.parametrize(
    ("key", "table"),
    [
        ("when", 'when = ["last:X-At present"]'),
        ("unbounded", 'unbounded = [{ not = "last:X-At absent" }]'),
        ("signed", 'signed = ["last:X-At == 1"]'),
        ("key", 'key = "last:X-At"'),
        ("cursor.request", 'cursor = { request = ["query:since", "last:X-At"] }'),
        ("idle", 'idle = ["header:X-At == last:X-At"]'),
        ("session.key", f"{AGREED}{SESSION.replace('query:sid', 'last:X-At', 1)} }}"),
        ("session.when", f"{AGREED}{SESSION.replace('query:sid absent', 'last:X-At absent')} }}"),
    ],
)
def test_the_last_answer_is_known_for_a_no_news_answer_alone(tmp_path: Path, key: str, table: str) -> None:
    says = "is known for a no-news answer alone; write it in empty, or a place in the request here"
    assert problems(tmp_path, table) == [f"{key}: `last:X-At` {says}"]


def test_there_it_may_be_used(tmp_path: Path) -> None:
    fill = 'headers = { X-At = "{last:X-At}" }, needs = ["last:X-At present"]'
    assert problems(tmp_path, f'empty = {{ answer = "template", status = 204, {fill} }}') == []


@pytest.mark.parametrize(
    ("when", "needs", "promised"),
    [
        ("'query:a present'", "", True),
        ("'query:a > 0'", "", True),
        ("{ all = ['query:a == 1', 'method == GET'] }", "", True),
        ("'method == GET'", "'query:a in (1, 2)'", True),
        ("{ any = ['query:a present', 'query:b present'] }", "", False),
        ("{ not = 'query:a present' }", "", False),
        ("'query:a absent'", "", False),
        ("'query:a != 1'", "", False),
        ("'query:a not in (1, 2)'", "", False),
        ("'query:b present'", "", False),
        ("'json:/a == 1'", "", True),
        ("'json:/a empty'", "", False),
    ],
)
def test_a_template_may_use_what_a_condition_proves_to_be_there(
    tmp_path: Path, when: str, needs: str, promised: bool
) -> None:
    used = "{json:/a}" if "json:" in when else "{query:a}"
    empty = f"{{ answer = 'template', headers = {{ X-A = '{used}' }}, needs = [{needs}] }}"
    found = problems(tmp_path, f"when = [{when}]\nempty = {empty}")
    assert ["which a request may lack" in line for line in found] == ([] if promised else [True])

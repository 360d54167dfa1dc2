"""What is wrong with one key: every class of problem, as the exact line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, ROUTE, checked

HOLD = BASE + "[policy.p.hold]\n"
CONNECTIONS = 'is not a number of connections; write "auto", or a number such as 20000'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[server]\ndrian = 1", "server.drian: unknown key; did you mean 'drain'?"),
        ("[sever]", "sever: unknown key; did you mean 'server'?"),
        ("[state]\nxyz = 1", "state.xyz: unknown key; write one of: ca, on_failure, password, prefix, size, url, user"),
        ("[server]\nmax_connections = 0", f"server.max_connections: {CONNECTIONS}"),
        ("[server]\nmax_connections = 'many'", f"server.max_connections: {CONNECTIONS}"),
        ("[server]\nmax_connections = true", f"server.max_connections: {CONNECTIONS}"),
        ("[server]\nper_address = { connections = 0 }", "server.per_address.connections: must be at least 1; write 1"),
        ("[server]\nper_address = { rate = 1 }", "server.per_address.rate: unknown key; write one of: connections"),
        ("[telemetry.sample]\nnews = 2", "telemetry.sample.news: is not a share; write a number from 0 (none) to 1 (all), such as 0.1"),
        ("[telemetry.sample]\nempty = -0.1", "telemetry.sample.empty: is not a share; write a number from 0 (none) to 1 (all), such as 0.1"),
        ("[telemetry.sample]\nerror = true", "telemetry.sample.error: is not a share; write a number from 0 (none) to 1 (all), such as 0.1"),
        ("[telemetry]\notlp = 'localhost:4318'", 'telemetry.otlp: "localhost:4318" is not the URL of a collector; write "http://HOST:4318"'),
        ("[telemetry]\notlp = 'http://c:4318?key=1'", 'telemetry.otlp: "http://c:4318?key=1" is not the URL of a collector; write "http://HOST:4318"'),
        ("[telemetry]\notlp = 4318", 'telemetry.otlp: is not the URL of a collector; write "http://HOST:4318"'),
        ("[telemetry]\notlp = 'http://u:p@c:4318'", "telemetry.otlp: the URL carries a password; remove it and use headers = { Authorization = .. }"),
        ("[telemetry]\notlp = 'https://[::1]:4318/in/v1/traces/'", 'telemetry.otlp: /v1/traces is added to what stands here; write "https://[::1]:4318/in"'),
        ("[server]\nworkers = 0", 'server.workers: is not a number of workers; write "auto", or a number from 1 to 256'),
        ("[server]\nworkers = 'all'", 'server.workers: is not a number of workers; write "auto", or a number from 1 to 256'),
        ("[server]\ndrain = 25", 'server.drain: is a number without a unit; write a duration in quotes, such as "25s"'),
        ("[server]\nmax_head = '0B'", 'server.max_head: must be more than nothing; write a size such as "16KiB"'),
        ("[server]\nvanished_after = '1900ms'", 'server.vanished_after: is not from 2s to 2h; write a duration such as "90s"'),
        ("[server]\nvanished_after = '3h'", 'server.vanished_after: is not from 2s to 2h; write a duration such as "90s"'),
        ("[server]\nheader_timeout = '0s'", 'server.header_timeout: must be longer than nothing; write a duration such as "25s"'),
        ("[server]\nhalf_close = 'no'", 'server.half_close: is none of the values it can have; write "gone" or "answer"'),
        ("[server]\nlisten = []", 'server.listen: is empty; write listen = ["127.0.0.1:8080"]'),
        ("[server]\nlisten = ['a:b']", 'server.listen[0]: "a:b" is not an address; write "HOST:PORT", such as "127.0.0.1:8080"'),
        ("[server]\ntrusted_proxies = '10.0.0.0/8'", "server.trusted_proxies: is of the wrong kind; write a list in [ ]"),
        ("[server]\nfront = {}", 'server.front.idle_timeout: is missing; write idle_timeout = "60s"'),
        ("[server]\ntls = { cert = 'file:c' }", 'server.tls[0].key: is missing; write key = "file:tls/key.pem"'),
        ("[server]\ntls = { cert = 'c', key = 'file:k' }", 'server.tls[0].cert: is not a file; write "file:PATH"'),
        ("server = 1", "server: is of the wrong kind; write [server]"),
        ("[state]\nurl = 'redis://a:b@h'", 'state.url: the URL carries a name or a password; write user = ".." and password = "env:.." beside it'),
        ("[state]\nurl = 'etcd://h'", 'state.url: "etcd://h" is no place for state; write "memory://", "shared://", or "redis://HOST:6379/0"'),
        ("[state]\nurl = 'redis://h/x'", 'state.url: "x" is not the number of a database; write "redis://h:6379/0"'),
        ("[state]\npassword = 'env:PATH'", "state.password: memory:// asks for none; remove it"),
        ("[server]\nworkers = 2", 'server.workers: each worker would count for itself and every limit would be several times what it says; write [state] url = "shared://", or workers = 1'),
        ("[state]\non_failure = 'shut'", 'state.on_failure: is none of the values it can have; write "local", "closed" or "open"'),
        ("[log]\ncalls = 'otlp'", 'log.calls: records are to go to a collector, which has no address; write telemetry.otlp = "http://127.0.0.1:4318"'),
        ("[log]\ncalls = 'calls.jsonl'", 'log.calls: is not a destination; write "stdout", "file:PATH" or "otlp", or a list of them'),
        ("[log]\ncalls = []", 'log.calls: is empty; write "stdout", "file:PATH" or "otlp"'),
        ("[log]\ncalls = ['stdout', 'stdout']", "log.calls: names a place twice, or two files; name each place once, and one file"),
        ("[log]\ncalls = ['file:a', 'file:b']", "log.calls: names a place twice, or two files; name each place once, and one file"),
        ("[log]\ncalls = 'file:calls.parquet'", 'log.calls: a file that ends in .parquet is of another kind; write "file:calls.jsonl"'),
        ("[log]\nstart_of_hold = 'yes'", "log.start_of_hold: is of the wrong kind; write true or false"),
        ("[log]\ncursor = 0", "log.cursor: is of the wrong kind; write true or false"),
        ("[log]\npeer = 'half'", 'log.peer: is none of the values it can have; write "full", "network" or "none"'),
        ("[log]\nrotate = true", "log.rotate: is not a table; write [log.rotate], or false to leave the file to others"),
        ("[log]\nrotate = 1", "log.rotate: is not a table; write [log.rotate], or false to leave the file to others"),
        ("[log.rotate]\nsize = '1KiB'", 'log.rotate.size: would be full at once; write 64KiB or more, such as "64MiB"'),
        ("[state]\nsize = '4KiB'", 'state.size: holds next to nothing; write 1MiB or more, such as "64MiB"'),
        ("[log.rotate]\nkeep = '30d'", 'log.rotate.keep: "30d" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("[log.rotate]\nkeep = '5m'", 'log.rotate.keep: is shorter than the hour that a file has; write "1h" or longer'),
        ("[log.rotate]\ndisk = '100MiB'", "log.rotate.disk: has no room for two files of log.rotate.size; write 128MiB or more"),
        ("[server]\nworkers = 4\n[state]\nurl = 'shared://'\n[log.rotate]\ndisk = '300MiB'", "log.rotate.disk: has no room for 5 files (each worker writes one) of log.rotate.size; write 320MiB or more"),
        ("[log.rotate]\nevery = '1h'", "log.rotate.every: unknown key; write one of: disk, keep, parquet, size"),
        ("[log]\nquery_values = [1]", "log.query_values[0]: is of the wrong kind; write text in quotes"),
        (
            "[log]\nlevel = 'loud'",
            'log.level: is none of the values it can have; write "debug", "info", "notice", "warning" or "error"',
        ),
        ("include = 'x'", "include: is of the wrong kind; write a list in [ ]"),
        ("include = ['gone.toml']", "include[0]: there is no file gone.toml; check the path"),
        ("[jwt.x]\nkeys = {}", 'jwt.x.algorithms: is missing; write algorithms = ["RS256"]'),
        ("[jwt.x]\nalgorithms = ['RS256']", 'jwt.x.keys: is missing; write keys = { jwks = "file:keys.json" }'),
        (
            "[jwt.x]\nalgorithms = ['none']\nkeys = {}",
            'jwt.x.algorithms[0]: "none" would accept tokens nobody signed; remove it',
        ),
        (
            "[jwt.x]\nalgorithms = ['HS256', 'RS256']\nkeys = {}",
            "jwt.x.algorithms: mixes a shared secret (HS..) with public keys, which lets a public key pass for the "
            "secret; write two providers",
        ),
        ("[jwt.x]\nalgorithms = []\nkeys = {}", 'jwt.x.algorithms: is empty; write algorithms = ["RS256"]'),
        (
            "[jwt.x]\nalgorithms = ['RS256']\nkeys = { discovery = true }",
            "jwt.x.keys.discovery: not available in this version; remove it",
        ),
        (
            "[jwt.x]\nalgorithms = ['RS256']\nkeys = {}\nleeway = '61s'",
            'jwt.x.leeway: is more than a minute; write at most "60s"',
        ),
        (
            "[jwt.x]\nalgorithms = ['RS256']\nkeys = {}\nfrom = ['body:x']",
            'jwt.x.from[0]: is not a place in a request; write "header:NAME" or "cookie:NAME" or "query:NAME" or '
            '"path:NAME"',
        ),
        (
            "[jwt.'a b']\nalgorithms = ['RS256']\nkeys = { jwks = 'file:gateway.toml' }",
            "jwt.'a b': is not a name; write letters, digits, '_', '-' and '.', at most 64",
        ),
        ("[upstream.x]\nendpoints = []", 'upstream.x.endpoints: is empty; write endpoints = ["http://127.0.0.1:5000"]'),
        ("[upstream.x]\nendpoints = [{ weight = 2 }]", 'upstream.x.endpoints[0].url: is missing; write url = "http://127.0.0.1:5000"'),
        (
            "[upstream.x]\nendpoints = [{ url = 'http://a', weight = 0 }]",
            "upstream.x.endpoints[0].weight: must be at least 1; write 1",
        ),
        ("[upstream.x]\nendpoints = 'http://a'\nmax_held = true", "upstream.x.max_held: is of the wrong kind; write a whole number"),
        (
            "[upstream.x]\nendpoints = 'http://a'\nforward_authorization = 1",
            "upstream.x.forward_authorization: is of the wrong kind; write true or false",
        ),
        (
            "[upstream.x]\nendpoints = 'http://a'\nheaders = { set = { Host = 'x' } }",
            'upstream.x.headers.set.Host: the gateway itself decides "Host"; remove it',
        ),
        (
            "[upstream.x]\nendpoints = 'http://a'\nheaders = { set = { X = \"a\\nb\" } }",
            "upstream.x.headers.set.X: holds characters no header may carry; write visible ASCII, without spaces around it",
        ),
        ("[[route]]\nmatch = { path = '/' }\nupstream = 'u'", 'route[0].name: is missing; write name = "updates"'),
        ("[[route]]\nname = 'x'\nupstream = 'u'", 'route[0].match: is missing; write match = { path = "/updates" }'),
        ("[[route]]\nname = 'x'\nmatch = { path = '/' }", 'route[0].upstream: is missing; write upstream = "updates"'),
        (
            "[[route]]\nname = 'x'\nmatch = { path = 'x' }\nupstream = 'u'",
            'route[0].match.path: is not a path; write one that begins with "/", such as "/updates"',
        ),
        ("[policy.p.coalesce]", "policy.p.coalesce: not available in this version; remove it"),
        ("[policy.p.jtw]", "policy.p.jtw: unknown key; did you mean 'jwt'?"),
        ("[policy.p.jwt]\nclaims = { a = [1.5] }", "policy.p.jwt.claims.a[0]: is not a claim's value; write text, a whole number, true or false"),
        ("[[policy.p.headers]]\nwhen_claims = {}", "policy.p.headers[0].when_claims: not available in this version; remove it"),
        ("[policy.p.cors]\norigins = ['a.com']", 'policy.p.cors.origins[0]: "a.com" is not an origin; write "https://HOST", or "*" for everyone'),
    ],
)  # fmt: skip
def test_a_wrong_key_is_one_line_with_a_remedy(tmp_path: Path, text: str, line: str) -> None:
    toml = f"{text}\n{BASE}" if text.startswith(("include", "server =")) else f"{BASE}{text}\n"
    assert checked(tmp_path, toml).problems == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "when = 'query:x present'",
            'when: is not a condition; write a list such as ["query:since present"], or { any = [..] }',
        ),
        (
            "when = { some = [] }",
            'when: is not a condition; write a list such as ["query:since present"], or { any = [..] }',
        ),
        (
            "ask = [{ in = 'body', name = 'x' }]",
            'ask[0].in: is none of the values it can have; write "query", "header", "header-item", "form", "json", '
            '"xml", "path" or "session"',
        ),
        ("ask = [{ in = 'query' }]", 'ask[0].name: is missing; write name = "timeout"'),
        (
            "ask = [{ in = 'query', name = 'x', unit = 'm' }]",
            'ask[0].unit: is none of the values it can have; write "s", "ms", "duration" or "iso"',
        ),
        ("absent = 'never'", 'absent: "never" is not a duration; write a number and ms, s, m or h, such as "25s"'),
        ("zero = 'blank'", 'zero: is none of the values it can have; write "none" or "default"'),
        ("jitter = { ratio = -1 }", "jitter.ratio: is not a ratio; write a number from 0 to 10, such as 0.0625"),
        ("jitter = { ratio = nan }", "jitter.ratio: is not a ratio; write a number from 0 to 10, such as 0.0625"),
        (
            "concurrency = 'newest'",
            'concurrency: is none of the values it can have; did you mean "newest-wins"?',
        ),
        (
            "refusals = { 418 = { body = '' } }",
            'refusals.418: is not a key here; write "400", "401", "403", "405", "413", "429", "500", "502", '
            '"503" or "504"',
        ),
        (
            "key = 'tenant'",
            'key: names no poller; write "consumer", or a place such as "query:sid", "path:token", "json:/clientId"',
        ),
        (
            "secret = ['token']",
            'secret[0]: is not a place in a request; write "path:NAME" or "query:NAME" or "header:NAME" or "cookie:NAME" '
            'or "form:NAME" or "json:/POINTER"',
        ),
        ("empty = { status = 100 }", "empty.status: must be at least 200; write 200"),
        ("empty = { answer = 'blank' }", 'empty.answer: is none of the values it can have; write "template", "origin" or "never"'),
        ("empty = { status = 204, body = 'x' }", "empty: a 204 has no body; remove body, or write status = 200"),
        (
            "when = ['query:x presnt']",
            "when: `query:x presnt`: `presnt` is no comparison, did you mean `present`?; write present, absent, == VALUE, "
            "!= VALUE, > NUMBER, in (A, B), not in (A, B) or matches REGEX",
        ),
        (
            "idle = ['x']",
            'idle: `x` is no test of an answer; write "status == 204", "body empty", "json:/items == []" or "header:X == '
            'VALUE"',
        ),
        (
            "cursor = { request = 'json:x' }",
            "cursor.request: `json:x`: a JSON pointer begins with a slash; write json:/x",
        ),
        (
            "ask = [{ in = 'header-item', name = 'Prefer' }]",
            'ask[0].name: is not an item of a header; write "HEADER/ITEM", such as "Prefer/wait"',
        ),
    ],
)  # fmt: skip
def test_a_wrong_key_of_a_hold_is_one_line_with_a_remedy(tmp_path: Path, text: str, line: str) -> None:
    assert checked(tmp_path, f"{HOLD}{text}\n").problems == [f"gateway.toml: policy.p.hold.{line}"]


def test_all_problems_come_at_once_also_across_tables(tmp_path: Path) -> None:
    text = (
        BASE
        + ROUTE.replace('"u"', '"v"')
        + "[server]\ndrian = 1\n[policy.p.hold]\nmax = 1\n[upstream.w]\nendpoints = 1\n"
    )
    assert checked(tmp_path, text).problems == [
        'gateway.toml: upstream.w.endpoints[0]: is of the wrong kind; write a table',
        'gateway.toml: policy.p.hold.max: is a number without a unit; write a duration in quotes, such as "25s"',
        "gateway.toml: server.drian: unknown key; did you mean 'drain'?",
        "gateway.toml: route[0].upstream: there is no upstream 'v'; write one of: u, w",
    ]  # fmt: skip


def test_a_reference_to_a_broken_table_is_not_a_second_problem(tmp_path: Path) -> None:
    text = BASE.replace('"http://127.0.0.1:5000"', "5") + ROUTE
    assert checked(tmp_path, text).problems == [
        "gateway.toml: upstream.u.endpoints[0]: is of the wrong kind; write a table"
    ]


def test_no_message_speaks_of_the_schema_library(tmp_path: Path) -> None:
    text = "server = 1\nlog = []\nroute = 3\njwt = []\nupstream = [1]\npolicy = { p = 1 }\nadmin = true\n"
    said = "\n".join(checked(tmp_path, text).problems).lower()
    assert said
    for word in ("pydantic", "input should", "value error", "validation", "dictionary", "instance", "tuple"):
        assert word not in said

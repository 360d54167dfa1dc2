"""What is wrong between tables: every rule, as the exact line a person reads."""

# What a person reads stays in one piece here, however long, so that it can be searched for.
# ruff: noqa: E501, ISC004

from __future__ import annotations

from pathlib import Path

import pytest

from .kit import BASE, JWT, ROUTE, SIGNED, UPSTREAM, checked, sound

POLL = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + "[policy.p.hold]\n"
TEMPLATE = "empty = { answer = 'template', headers = { Content-Type = 'application/json' }, body = '[]' }\n"
SECOND = '[[route]]\nname = "s"\nmatch = { path = "/s" }\nupstream = "u"\npolicies = ["signed"]\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (ROUTE.replace('"u"', '"x"'), "route[0].upstream: there is no upstream 'x'; write one of: u"),
        (ROUTE.replace('["signed"]', '["sined"]'), "route[0].policies[0]: there is no policy 'sined'; did you mean 'signed'?"),
        (
            ROUTE.replace('["signed"]', '["signed", "cursor-update"]'),
            "route[0].policies[1]: there is no policy 'cursor-update'; did you mean 'cursor-updates'?",
        ),
        (ROUTE.replace('["signed"]', '["signed", "signed"]'), "route[0].policies[1]: 'signed' is named twice; name it once"),
        ("[policy.x.jwt]\nprovider = 'man'", "policy.x.jwt.provider[0]: there is no provider 'man'; did you mean 'main'?"),
        (ROUTE + 'rewrite = "/{y}"', "route[0].rewrite: {y} is no part of match.path; write it there too, or leave it out"),
        (ROUTE + 'rewrite = "/x/**"', 'route[0].rewrite: ends in "/**" but match.path does not; write "/**" at the end of both'),
        (ROUTE + SECOND.replace('"s"', '"r"'), "route[1].name: the name 'r' is taken by route[0]; write another name"),
        (
            ROUTE + SECOND.replace('"/s"', '"/r"'),
            "route[1].match: matches the same requests as route 'r'; change host, path or methods of one",
        ),
        (
            ROUTE.replace('"/r"', '"/a/{x}"') + SECOND.replace('"/s"', '"/a/{y}"'),
            "route[1].match: matches the same requests as route 'r'; change host, path or methods of one",
        ),
        (
            ROUTE.replace('"/r"', '"/r", methods = ["GET"]') + SECOND.replace('"/s"', '"/r", methods = ["HEAD"]'),
            "route[1].match: matches the same requests as route 'r'; change host, path or methods of one",
        ),
        (
            "[policy.q.hold]\nabsent = '1s'\n[policy.p.hold]\nabsent = '1s'\n" + ROUTE.replace('["signed"]', '["signed", "p", "q"]'),
            "route[0].policies: hold comes from 'p' and 'q'; name only one of them, or write [route.hold] for what differs",
        ),
        (
            "[policy.q.jwt]\nprovider = 'main'\n" + ROUTE.replace('["signed"]', '["signed", "q"]'),
            "route[0].policies: jwt comes from 'signed' and 'q'; name only one of them, or write [route.jwt] for what differs",
        ),
        ("[policy.q.jwt]\n" + ROUTE.replace('["signed"]', '["q"]'), 'policy.q.jwt.provider: is missing; write provider = "main"'),
        (ROUTE + "cors = { max_age = '1m' }", 'route[0].cors.origins: is missing; write origins = ["https://app.example.com"]'),
        (
            ROUTE + "cors = { origins = ['*'], credentials = true }",
            'route[0].cors.credentials: lets every web page call with credentials; name the origins instead of "*"',
        ),
        ("[policy.q.allow_list]", 'policy.q.allow_list: admits nobody; write addresses = ["10.0.0.0/8"]'),
        (ROUTE + "allow_list = {}", 'route[0].allow_list: admits nobody; write addresses = ["10.0.0.0/8"]'),
        (
            "[server]\ndrain = '30s'",
            "server.drain: 30s is not shorter than stop_grace, 30s: polls would be cut by the kill; write a shorter drain, or a "
            "longer stop_grace",
        ),
        (
            "[server]\nshutdown_delay = '5s'",
            "server.drain: 25s after shutdown_delay, 5s, is not shorter than stop_grace, 30s: polls would be cut by the kill; "
            "write a shorter drain, or a longer stop_grace",
        ),
        (
            "[admin]\nlisten = '0.0.0.0:9090'",
            'admin.token: 0.0.0.0:9090 can be reached from elsewhere; write token = "env:GATEWAY_ADMIN_TOKEN"',
        ),
        (
            "[admin]\nhosts = ['gateway.internal', '*.internal']",
            'admin.hosts[1]: "*.internal" is a pattern; write each name, such as "gateway.internal"',
        ),
        ("[admin]\nhosts = ['10.0.0.1']", 'admin.hosts[0]: "10.0.0.1" is an address, which needs no entry; remove it'),
        ("[admin]\nhosts = ['[::1]']", 'admin.hosts[0]: "[::1]" is an address, which needs no entry; remove it'),
        (
            "[admin]\nhosts = ['gateway.internal:9090']",
            'admin.hosts[0]: "gateway.internal:9090" is not a host; write a name without port, such as "api.example.com"',
        ),
        (
            "[admin]\nhosts = 'gateway.internal'",
            'admin.hosts: is of the wrong kind; write a list in [ ], such as hosts = ["gateway.internal"]',
        ),
        (
            "[admin]\ntoken = 'env:GONE'",
            "admin.token: the environment variable GONE is not set; set it before the gateway starts",
        ),
        (
            "[upstream.x]\nendpoints = ['http://a/1', 'http://a/2']",
            "upstream.x.endpoints: have different paths; write the same path in all of them",
        ),
        (
            "[upstream.x]\nendpoints = 'https://a'\ntls = { cert = 'file:c' }",
            "upstream.x.tls: cert and key belong together; write both or none",
        ),
        (
            "[upstream.x]\nendpoints = 'http://a'\ntls = { server_name = 'b' }",
            "upstream.x.tls: no endpoint uses https; write https:// in endpoints, or remove tls",
        ),
        (
            "[upstream.x]\nendpoints = 'http://a'\nheaders = { set = { X = 'env:GONE' } }",
            "upstream.x.headers.set.X: the environment variable GONE is not set; set it before the gateway starts",
        ),
        (
            "[policy.x]\nheaders = { response = { set = { X = 'env:GONE' } } }",
            "policy.x.headers[0].response.set.X: the environment variable GONE is not set; set it before the gateway starts",
        ),
        (
            "[telemetry]\nheaders = { X = 'env:GONE' }",
            "telemetry.headers.X: the environment variable GONE is not set; set it before the gateway starts",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_line_with_a_remedy(tmp_path: Path, text: str, line: str) -> None:
    assert checked(tmp_path, f"{BASE}{text}\n").problems == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("absent = '1s'\nmin = '5s'\nmax = '2s'", "min: 5s is longer than max, 2s; write a shorter min, or a longer max"),
        ("absent = '90s'", "absent: 90s is not within min, 0s, to max, 60s; change one of them"),
        ("absent = '25s'\nmargin = '0s'\n" + TEMPLATE, 'margin: is nothing, so the template would race the upstream\'s own answer; write margin = "5s"'),
        ("absent = '25s'\nmargin = '0s'", 'margin: is nothing, so our 504 would race the upstream\'s own answer; write margin = "5s"'),
        (
            "ask = [{ in = 'query', name = 't' }]\nmax = '40s'\nclient_timeout = '44s'\n" + TEMPLATE,
            "client_timeout: a poll may last 40s + jitter 0s + margin 5s = 45s but clients wait only 44s; write max = "
            '"38s", or have client_timeout wait longer',
        ),
        ("absent = '25s'\nmax = '25s'\njitter = { early = '25s' }", "jitter.early: 25s takes off more than max, 25s; write a shorter early"),
        ("max = '25s'", 'absent: nothing would ever be held; write absent = "25s", or ask = [{ in = "query", name = "timeout" }]'),
        ("absent = '25s'\nrewrite = true", "rewrite: there is no wish to rewrite; write rewrite = false, or say in ask where it stands"),
        (
            "absent = '25s'\nclient_timeout = '30s'",
            "client_timeout: a poll may last 25s + jitter 0s + margin 5s = 30s but clients wait only 30s; have the upstream "
            'hold for no more than 24s and write absent = "24s", or have client_timeout wait longer',
        ),
        (
            "ask = [{ in = 'query', name = 't' }]\nmax = '40s'\nrewrite = true\nclient_timeout = '40s'\njitter = { ratio = 0.5 }\n" + TEMPLATE,
            "client_timeout: a poll may last 40s + jitter 20s + margin 5s = 65s but clients wait only 40s; write max = "
            '"23s", or have client_timeout wait longer',
        ),
        (
            "absent = 'unbounded'",
            "absent: a poll that states no wish would end in a 504 after 65s (max 60s + jitter 0s + margin 5s), for the upstream "
            'is told no end; write what it holds, such as absent = "25s", or an empty.answer of "template"',
        ),
        (
            "ask = [{ in = 'query', name = 't' }]\nmax = '10s'",
            "over_max: a poll that asks for more than max, 10s, would end in a 504, for the upstream is not told; write rewrite = "
            'true, or over_max = "reject"',
        ),
        (
            "absent = '25s'\nempty = { answer = 'template', headers = { Content-Type = 'text/plain' }, body = '{query:x}' }",
            'empty.body: uses {query:x}, which a request may lack; write needs = ["query:x present"]',
        ),
        (
            "absent = '25s'\nempty = { answer = 'template', body = '{query:x}', needs = ['query:x present'] }",
            'empty: `{query:x}`: say what the body is; write headers = { Content-Type = "text/plain" }',
        ),
    ],
)  # fmt: skip
def test_clocks_and_templates_that_cannot_work_are_refused(tmp_path: Path, text: str, line: str) -> None:
    assert checked(tmp_path, f"{POLL}{text}\n").problems == [f"gateway.toml: policy.p.hold.{line}"]


def test_a_hold_must_end_before_the_edge_in_front_gives_up(tmp_path: Path) -> None:
    front = "[server]\nfront = { name = 'aws-alb', idle_timeout = '60s' }\n"
    ask = "ask = [{ in = 'query', name = 't' }]\nmax = '55s'\nrewrite = true\n"
    assert checked(tmp_path, front + POLL + ask).problems == [
        "gateway.toml: policy.p.hold.max: a poll may last 55s + jitter 0s + margin 5s = 60s but front aws-alb waits only 60s; "
        'write max = "54s", or have front aws-alb wait longer'
    ]
    assert checked(tmp_path, front + POLL + ask.replace("55s", "54s")).problems == []


def test_a_value_of_the_route_is_blamed_on_the_route(tmp_path: Path) -> None:
    text = POLL.replace("[policy.p.hold]", "[route.hold]\nmax = '1s'\n[policy.p.hold]\nabsent = '1s'\nmin = '2s'")
    assert "gateway.toml: policy.p.hold.min: 2s is longer than max, 1s; write a shorter min, or a longer max" in (
        checked(tmp_path, text).problems
    )
    text = POLL.replace("[policy.p.hold]", "[route.hold]\nmin = '2m'\n[policy.p.hold]\nabsent = '1s'")
    assert checked(tmp_path, text).problems == [
        "gateway.toml: route[0].hold.min: 120s is longer than max, 60s; write a shorter min, or a longer max"
    ]


def test_a_problem_of_a_shared_policy_is_said_once(tmp_path: Path) -> None:
    second = SECOND.replace('["signed"]', '["signed", "p"]')
    text = BASE + ROUTE.replace('["signed"]', '["signed", "p"]') + second + "[policy.p.hold]\nmax = '1s'\n"
    assert len(checked(tmp_path, text).problems) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + ROUTE.replace('["signed"]', "[]"), "route[0].policies: anyone may call it; add a policy with jwt if that is not meant"),
        (
            BASE.replace("env:SECRET", "0123456789abcdef0123456789abcdef") + ROUTE,
            'jwt.main.keys.secret: the secret stands in the file itself; write "env:NAME" or "file:PATH"',
        ),
        (BASE.replace('issuer = "i"\n', "") + ROUTE, "jwt.main: tokens of any issuer are accepted; write issuer = .."),
        (
            BASE.replace('issuer = "i"\naudience = "a"\n', "") + ROUTE,
            "jwt.main: tokens of any issuer and audience are accepted; write issuer = .. and audience = ..",
        ),
        (BASE + ROUTE + "[admin]\ntoken = 'x'\n", 'admin.token: the secret stands in the file itself; write "env:NAME" or "file:PATH"'),
        (
            POLL + "max = '15s'\nrewrite = true\nask = [{ in = 'query', name = 't' }]\nsigned = ['query:sig present']\n",
            "policy.p.hold.over_max: a signed poll that asks for more than max, 15s, ends in a 504, for it may not be changed and "
            'the upstream is not told; write over_max = "reject" or "pass", if clients ask for so much',
        ),
        (
            POLL + "absent = '25s'\n",
            "policy.p.hold.max: a poll may last 30s and may not be ended early, but drain is 25s: some are cut at shutdown; write "
            "a longer server.drain and stop_grace, if that matters",
        ),
        (
            POLL + "absent = '25s'\nreplay = 'cursor'\nclient_timeout = '30s'\n" + TEMPLATE,
            "policy.p.hold.client_timeout: clients wait 30s, but of a silent upstream they are told after 30s (25s + jitter 0s + "
            "margin 5s): they will have left; write a smaller max or margin, or a longer client_timeout",
        ),
        (
            POLL.replace("/r", "/{token}") + "absent = '5s'\nsecret = ['path:tokn']\n",
            "policy.p.hold.secret: route 'r' has no {tokn} in its path; did you mean 'token'?",
        ),
        (
            POLL + "absent = '5s'\nsecret = ['path:token']\n",
            "policy.p.hold.secret: route 'r' has no {token} in its path; write it in match.path, or remove it here",
        ),
        (
            BASE + ROUTE.replace('"/r"', '"/r", methods = ["GTE", "PURGE"]'),
            "route[0].match.methods[0]: GTE is a method of your own; write GET, if that is meant",
        ),
        (BASE, "route: nothing is served, every request gets a 404; write [[route]] with name, match and upstream"),
        (
            BASE + ROUTE + "[server]\nkeepalive_timeout = '50s'\nfront = { name = 'lb', idle_timeout = '60s' }\n",
            "server.keepalive_timeout: 50s is not longer than front lb keeps an idle connection, 60s: it may use one in the "
            'instant it is closed; write keepalive_timeout = "65s"',
        ),
        (
            BASE + ROUTE + "[server]\ntrusted_proxies = ['10.0.0.0/8', '::/0']\n",
            "server.trusted_proxies[1]: ::/0 is everybody: whoever calls may choose the address that limits, allow lists and "
            "the log see; write the networks of your proxies",
        ),
        (
            BASE + ROUTE + "[upstream.x]\nendpoints = ['http://10.0.0.1', 'http://localhost:1']\ndns_refresh = '5s'\n",
            "upstream.x.dns_refresh: no endpoint is a name that is looked up; remove it, or write names in endpoints",
        ),
        (
            BASE + ROUTE + "[log.rotate]\nkeep = '24h'\n",
            'log.rotate: only a file is rotated, and records go to stdout; write log.calls = "file:PATH", or remove it',
        ),
        (
            BASE + ROUTE + "[log]\ncalls = ['stdout', 'otlp']\nrotate = { parquet = false }\n[telemetry]\notlp = 'http://h:1'\n",
            'log.rotate: only a file is rotated, and records go to stdout and otlp; write log.calls = "file:PATH", or '
            "remove it",
        ),
    ],
)  # fmt: skip
def test_what_may_be_meant_is_a_notice(tmp_path: Path, text: str, line: str) -> None:
    result = checked(tmp_path, text)
    assert result.problems == []
    assert result.notices == [f"gateway.toml: {line}"]


@pytest.mark.parametrize(
    "text",
    [
        ROUTE + SECOND,
        ROUTE.replace('"/r"', '"/r", methods = ["GET"]') + SECOND.replace('"/s"', '"/r", methods = ["POST"]'),
        ROUTE.replace('"/r"', '"/r", host = "a"') + SECOND.replace('"/s"', '"/r"'),
        ROUTE.replace('"/r"', '"/r/{x}"') + SECOND.replace('"/s"', '"/r/**"'),
        ROUTE.replace('"/r"', '"/{x}/**"') + 'rewrite = "/v2/{x}/**"',
    ],
    ids=["other path", "other method", "host is more specific", "one part before the tail", "rewrite"],
)
def test_routes_that_differ_stand_side_by_side(tmp_path: Path, text: str) -> None:
    sound(tmp_path, BASE + text)


@pytest.mark.parametrize("shipped", ["article-updates", "cursor-updates", "prefer-wait"])
def test_a_shipped_policy_is_found_by_its_name(tmp_path: Path, shipped: str) -> None:
    config = sound(tmp_path, BASE + ROUTE.replace('["signed"]', f'["signed", "{shipped}"]'))
    assert config.policies[shipped].hold is not None
    assert config.origins["policy", shipped].file == f"shipped {shipped}.toml"


def test_shipped_policies_that_no_route_uses_are_not_read(tmp_path: Path) -> None:
    assert set(sound(tmp_path, UPSTREAM + JWT + SIGNED + ROUTE).policies) == {"signed"}

"""The no-news answer the gateway gives."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.answer import answer_bytes
from gateway.holds.blank import compile_template, render
from gateway.outcome import Outcome
from gateway.pipeline import Reply
from tests.kit.heads import head
from tests.kit.strict import Source, advance, read_response

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
XML = {"Content-Type": "text/xml; charset=utf-8"}
HTML = {"Content-Type": "text/html; charset=utf-8"}

NO_STORE = (b"Cache-Control", b"no-store")


def body_of(body, target, headers=(), media=JSON):
    reply = render(compile_template(200, media, body), head("GET", target, headers))
    return reply.body if reply is not None else None


def test_a_template_without_substitutions_is_one_shared_answer():
    template = compile_template(200, JSON, '{"ok":true,"result":[]}')
    first = render(template, head("GET", "/u"))
    assert first == Reply(
        Outcome.BLANK, 200, ((b"Content-Type", b"application/json"), NO_STORE), b'{"ok":true,"result":[]}'
    )
    assert render(template, head("GET", "/u?x=1")) is first


@pytest.mark.parametrize("status", [204, 304])
def test_a_204_and_a_304_have_no_body(status):
    reply = render(compile_template(status, {"ETag": '"v1"'}, "[]"), head("GET", "/u"))
    assert reply == Reply(Outcome.BLANK, status, ((b"ETag", b'"v1"'), NO_STORE), b"")


@pytest.mark.parametrize(
    ("body", "target", "headers", "filled"),
    [
        ('{"next_batch":"{query:since}"}', "/u?since=s1_2", {}, b'{"next_batch":"s1_2"}'),
        ('{"next_batch":"{query:since}"}', "/u?since=", {}, b'{"next_batch":""}'),
        ('{"next_batch":"{query:since}"}', "/u", {}, None),
        ('{"a":"{query:x}"}', '/u?x=%22,%22b%22:%221', {}, b'{"a":"\\",\\"b\\":\\"1"}'),
        ('{"a":"{query:x}"}', "/u?x=%5C", {}, b'{"a":"\\\\"}'),
        ('{"a":"{query:x}"}', "/u?x=%0A", {}, b'{"a":"\\n"}'),
        ('{"a":"{query:x}"}', "/u?x=%C3%A9", {}, '{"a":"é"}'.encode()),
        ('{"a":"{query:x}"}', "/u?x={query:y}&y=1", {}, b'{"a":"{query:y}"}'),
        ('{"a":"\\"{query:x}"}', "/u?x=1", {}, b'{"a":"\\"1"}'),
        ('{"last":{query:x}}', "/u?x=41", {}, b'{"last":41}'),
        ('{"last":{query:x}}', "/u?x=-1.5e3", {}, b'{"last":-1.5e3}'),
        ('{"last":{query:x}}', "/u?x=1,%22a%22:2", {}, None),
        ('{"last":{query:x}}', "/u?x=true", {}, None),
        ('{"last":{query:x}}', "/u?x=", {}, None),
        ('["{query:a}","{header:X-B}"]', "/u?a=1", {"x-b": "2"}, b'["1","2"]'),
        ('["{query:a}","{header:X-B}"]', "/u?a=1", {}, None),
        ('{"a":"{header:X-B}"}', "/u", {"x-b": "\udcff"}, None),
        ('{"a":{"b":{}}}', "/u", {}, b'{"a":{"b":{}}}'),
        ('{"a":"{b:c} {}"}', "/u", {}, b'{"a":"{b:c} {}"}'),
    ],
)  # fmt: skip
def test_values_are_filled_into_json_and_cannot_leave_their_place(body, target, headers, filled):
    assert body_of(body, target, headers) == filled


@pytest.mark.parametrize(
    ("media", "target", "filled"),
    [
        ("text/plain; charset=utf-8", "/u?x=a%3Cb", b"x=a<b"),
        ("text/plain", "/u?x=a%0Ab", None),
        ("text/html", "/u?x=%3Cscript%3E%22", b"x=&lt;script&gt;&quot;"),
    ],
)
def test_values_are_escaped_for_the_type_of_the_body(media, target, filled):
    assert body_of("x={query:x}", target, media={"content-type": media}) == filled


@pytest.mark.parametrize(
    ("media", "target", "filled"),
    [
        ("application/atom+xml", "/u?x=%26", b'<a b="&amp;">&amp;</a>'),
        ("text/xml", "/u?x=%22%3E", b'<a b="&quot;&gt;">&quot;&gt;</a>'),
        ("application/xml", "/u?x=%00", None),
        ("application/xml", "/u?x=%EF%BF%BE", None),
    ],
)
def test_values_are_escaped_for_xml(media, target, filled):
    assert body_of('<a b="{query:x}">{query:x}</a>', target, media={"content-type": media}) == filled


def test_a_value_of_more_than_8_kib_makes_no_answer():
    assert body_of('{"a":"{query:x}"}', "/u?x=" + "y" * 8192) is not None
    assert body_of('{"a":"{query:x}"}', "/u?x=" + "y" * 8193) is None


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ('"v1"', b'"v1"'),
        ('W/"v 1"', b'W/"v 1"'),
        (None, None),
        ("", None),
        ("a\r\nSet-Cookie: x=1", None),
        ("a\x00", None),
        ("a\tb", None),
        ("v\u4e2d", None),
        ("\udcff", None),
        (" a", None),
    ],
)
def test_a_header_takes_plain_values_only(value, filled):
    template = compile_template(304, {"ETag": "{header:If-None-Match}"}, "")
    reply = render(template, head("GET", "/u", {"If-None-Match": value} if value is not None else {}))
    assert (reply.headers if reply else None) == (((b"ETag", filled), NO_STORE) if filled else None)


@pytest.mark.parametrize("media", [JSON, TEXT, XML, HTML])
def test_bytes_that_are_no_text_make_no_answer(media):
    body = '{"a":"{header:A}"}' if media is JSON else "<a>{header:A}</a>"
    for value in ("\udcff", "a\udc80b"):
        assert render(compile_template(200, media, body), head("GET", "/u", {"A": value})) is None


@pytest.mark.parametrize("before", ['"a\\"b"', '"\\\\"', '"\\\\\\""', '"\\u0022"'])
def test_a_quote_inside_a_string_opens_and_closes_nothing(before):
    number, text = f'{{"a":{before},"n":{{query:n}}}}', f'{{"a":{before},"n":"{{query:n}}"}}'
    assert body_of(number, "/u?n=1,%22x%22:2") is None
    assert orjson.loads(body_of(number, "/u?n=7"))["n"] == 7
    assert orjson.loads(body_of(text, "/u?n=1,%22x%22:2"))["n"] == '1,"x":2'


def test_needs_must_hold_before_a_template_is_used():
    template = compile_template(200, JSON, "[]", ["query:since not in (now, 0)", "query:heartbeat absent"])
    assert render(template, head("GET", "/u?since=7")) is not None
    assert render(template, head("GET", "/u?since=now")) is None
    assert render(template, head("GET", "/u?since=7&heartbeat=1")) is None


@pytest.mark.parametrize(
    ("status", "headers", "body", "says"),
    [
        (200, JSON, '{"a":-{query:x}}', "not JSON"),
        (200, JSON, '{"a":1{query:x}}', "not JSON"),
        (200, JSON, '{"a":{b:1}}', "not JSON"),
        (200, JSON, '{"a":{query:x}+1}', "not JSON"),
        (200, JSON, '{"a":{query:x + 1}}', "never counted on"),
        (200, XML, "<a>{query:x}", "not XML"),
        (200, XML, "<{query:x}/>", "not XML"),
        (200, XML, "<a b={query:x}/>", "not XML"),
        (200, XML, "<a><!--{query:x}--></a>", "not XML"),
        (200, JSON, '{"a":"{qery:x}"}', "did you mean `query`"),
        (200, JSON, '{"a":"{query:}"}', "lacks a name"),
        (200, JSON, '{"a":[}', "not JSON"),
        (200, JSON, '{"a":"{query:x}', "not JSON"),
        (200, HTML, "<script>var x = '{query:x}'</script>", "in HTML"),
        (200, HTML, "<style>a { color: {query:x} }</style>", "in HTML"),
        (200, HTML, "<a href={query:x}>", "in HTML"),
        (200, HTML, "<a {query:x}>", "in HTML"),
        (200, HTML, "<{query:x}>", "in HTML"),
        (200, HTML, "<a onclick=\"f('{query:x}')\">", "in HTML"),
        (200, {}, "{query:x}", "Content-Type"),
        (200, {"Content-Type": "application/javascript"}, "{query:x}", "Content-Type"),
        (200, {"Content-Length": "3"}, "abc", "written by the gateway"),
        (200, {"A B": "3"}, "", "not a header name"),
        (200, {"A": "x\r\nB: y"}, "", "plain ASCII"),
        (101, {}, "", "status = 101"),
        (600, {}, "", "status = 600"),
    ],
)
def test_a_bad_template_says_what_to_write(status, headers, body, says):
    with pytest.raises(ValueError, match=says):
        compile_template(status, headers, body)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_value_stays_inside_its_json_string(first, second):
    template = compile_template(200, JSON, '{"a":"{header:A}","b":["{header:B}"]}')
    reply = render(template, head("GET", "/u", [("A", first), ("B", second)]))
    assert reply is not None
    assert orjson.loads(reply.body) == {"a": first, "b": [second]}


@given(st.text(max_size=40))
def test_any_value_outside_a_string_is_a_number_or_refused(value):
    template = compile_template(200, JSON, '{"a":{header:A}}')
    reply = render(template, head("GET", "/u", [("A", value)]))
    assert reply is None or isinstance(orjson.loads(reply.body)["a"], (int, float))


def test_html_takes_values_where_text_stands_and_in_quotes():
    page = "<!doctype html><p title=\"{query:x}\" data-y='{query:x}'>{query:x}<br><!-- {query:x} --></p>"
    filled = body_of(page, "/u?x=%22%3E'%3C/p%3E--%3E", media=HTML).decode()
    assert filled == page.replace("{query:x}", "&quot;&gt;&#x27;&lt;/p&gt;--&gt;")


@pytest.mark.parametrize(
    ("media", "body"),
    [(JSON, '{"a":"{header:A}","b":{query:b}}'),
     (TEXT, "{header:A} {query:b}"), (XML, '<a b="{header:A}">{query:b}</a>'),
     (HTML, "<p>{header:A}{query:b}</p>")],
)  # fmt: skip
@given(
    st.text(max_size=60), st.sampled_from(["7", "%0d%0aSet-Cookie:%20x=1%0d%0a%0d%0aHTTP/1.1", "%ff", "%00", "%ud800"])
)
def test_whatever_a_client_sends_the_answer_is_one_answer(media, body, value, number):
    template = compile_template(200, {**media, "ETag": '"{header:A}"'}, body)
    reply = render(template, head("GET", f"/u?b={number}", [("A", value)]))
    if reply is None:
        return
    raw = answer_bytes(reply.status, reply.headers, reply.body, "GET", 1, True)
    source = Source(bytearray(raw))
    message = advance(read_response(source, "GET"))
    assert message is not None and bytes(message.body) == reply.body and not source.data
    assert [name for name, _ in message.headers] == ["Date", "Content-Type", "ETag", "Cache-Control", "Content-Length"]

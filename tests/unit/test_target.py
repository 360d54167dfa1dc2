"""Request targets: which spellings are one canonical path, and which are refused because two servers could read them in
two ways. A table of spellings, and properties that hold of every path that is let through.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.target import Target, canonical_host, canonical_path, parse_target, without_port

AS_THEY_ARE = [
    "/", "/updates", "/a/b/c", "/a/", "/a/b/", "/a.b", "/a..b", "/a...", "/.well-known", "/a/.b", "/...", "/~me",
    "/a-b_c",
    "/!$&'()*+,=:@", "/a:b@c", "/a=b,c", "/*", "/a/**", "/(x)", "/%20", "/a%20b", "/%3F", "/%23", "/%C3%A9",
    "/%E2%82%AC",
    "/%F0%9F%98%80", "/100%25", "/%25zz", "/%25%20", "/a%40b".replace("%40", "@"), "/%22", "/%3Cx%3E", "/%7B%7D",
    "/%5Ba%5D", "/%60",
    "/%C2%85", "/%E2%80%A8", "/%80"[:0] + "/x", "/a/.../b", "/a%2Cb".replace("%2C", ","), "/%40%2B",
]  # fmt: skip
REWRITTEN = {
    "/%61": "/a", "/%41": "/A", "/a%2Db": "/a-b", "/a%2db": "/a-b", "/%5f": "/_", "/%7E": "/~", "/%7eme": "/~me",
    "/%c3%a9": "/%C3%A9", "/%e2%82%ac": "/%E2%82%AC", "/a%2eb": "/a.b", "/%2ewell-known": "/.well-known", "/%30": "/0",
    "/%2e%2e%2e": "/...", "/a/%2eb": "/a/.b", "/%3f": "/%3F", "/x%25": "/x%25", "/%25%7a": "/%25z", "/%2b": "/%2B",
}  # fmt: skip
REFUSED = [
    "", "abc", "*", "a/b", "//", "//a", "/a//", "/a//b", "/a//b/", "/.", "/..", "/./", "/../", "/a/.", "/a/..",
    "/a/./b", "/a/../b",
    "/%2e", "/%2E", "/%2e%2e", "/.%2e", "/%2e.", "/a/%2e%2e/b", "/a/%2e/", "/a/.%2E/b", "/%2f", "/a%2fb", "/a%2Fb",
    "/%2f%2e%2e",
    "/\\", "/a\\b", "/..\\a", "/%5c", "/%5C..", "/a%5cb", "/;", "/a;b=1", "/a;/b", "/..;/b", "/%3b", "/a%3Bb", "/%00",
    "/a%00",
    "/%0a", "/%0D%0A", "/%1f", "/%09", "/%7f", "/%7F", "/\x00", "/a\nb", "/a b", "/\t", "/\x7f", "/\x85", "/é",
    "/\udcff", "/\u2028",
    "/%", "/%2", "/a%", "/%g0", "/%0g", "/%u002e", "/%%", "/%-1", "/% 20", "/%ff", "/%C3", "/%C3x", "/%A9", "/%c0%af",
    "/%c0%ae",
    "/%e0%80%af", "/%ed%a0%80", "/%f5%80%80%80", "/%F8%88%80%80%80", "/%252e", "/%252E%252e", "/%252f", "/%255c",
    "/%2500", "/%25%32e",
    "/%25%32%65", "/%25%32f", "/%2525%32e", "/%25%35c", "/%25%3235", "/%25%30%30", "/%25%41b", "/%252%65", "/?",
    "/a?b", "/#", "/a#b",
    '/"', "/<a>", "/{x}", "/a|b", "/a^b", "/`", "/[a]", "/a%20/../b", "/a%20//b",
]  # fmt: skip


@pytest.mark.parametrize("path", AS_THEY_ARE)
def test_a_canonical_path_stays_as_it_is(path: str) -> None:
    assert canonical_path(path) == path


@pytest.mark.parametrize(("raw", "path"), REWRITTEN.items())
def test_other_spellings_become_the_canonical_one(raw: str, path: str) -> None:
    assert canonical_path(raw) == path


@pytest.mark.parametrize("raw", REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(raw: str) -> None:
    assert canonical_path(raw) is None


CHARS = st.sampled_from(
    [
        *"abAZ09-._~/%;\\25ef\x00\n \x7fé!$&'()*+,=:@?#",
        *["%2e", "%2E", "%2f", "%5c", "%00", "%25", "%32", "%65", "%c3%a9", "%C3", "..", "//", "/.", "%41"],
    ]
)
PATHS = st.lists(CHARS, max_size=12).map(lambda parts: "/" + "".join(parts))
ESCAPES = st.lists(st.integers(0, 255).map(lambda code: f"%{code:02x}"), max_size=6).map(
    lambda parts: "/" + "".join(parts)
)


@given(PATHS | ESCAPES | st.text(max_size=20).map(lambda text: "/" + text))
@example("/%25%32e")
def test_a_path_let_through_is_canonical(raw: str) -> None:
    path = canonical_path(raw)
    if path is None:
        return
    assert canonical_path(path) == path
    once = unquote_to_bytes(path)
    assert once == unquote_to_bytes(raw), "it must mean what the client wrote"
    segments = path.split("/")
    assert segments[0] == "" and "" not in segments[1:-1] and not {".", ".."} & set(segments)
    assert len(once.split(b"/")) == len(segments), "no slash may be hidden"
    for decoded in (once, unquote_to_bytes(once)):
        assert not set(b"\\\x00\n\r;") & set(decoded)
        assert not {b".", b".."} & set(decoded.split(b"/"))
    once.decode("utf-8")
    assert path.isascii() and path.isprintable() and " " not in path


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a", Target("/a", "", None)),
        ("/a?", Target("/a", "", None)),
        ("/a?b=1&c=%20", Target("/a", "b=1&c=%20", None)),
        ("/a?b?c", Target("/a", "b?c", None)),
        ("/a?../b;%2f%00", Target("/a", "../b;%2f%00", None)),  # a query is passed on as it is
        ("/%61?%61", Target("/a", "%61", None)),
        ("/?{a}|b^`[c]\\<>", Target("/", "{a}|b^`[c]\\<>", None)),
        ("*", Target("*", "", None)),
        ("http://h/a?b", Target("/a", "b", "h")),
        ("HTTP://H.Example:80/a", Target("/a", "", "h.example:80")),
        ("https://h", Target("/", "", "h")),
        ("http://h?x", Target("/", "x", "h")),
        ("http:///a", Target("/a", "", "")),  # no authority: no Host can agree with it
        ("http://u:p@h/", Target("/", "", "u:p@h")),
    ],
)
def test_a_target_is_path_query_and_authority(target: str, expected: Target) -> None:
    assert parse_target(target) == expected


@pytest.mark.parametrize(
    "target",
    ["", "a", "a/b", "**", "*a", "?a", "#", "//h/a", "/a#b", "/a?b#c", "/a?#", "/?a b", '/?"', "/?\x7f", "/?é",
     "/?\x00", "/?\n",
     "ftp://h/", "http:/h", "http:h", "httpx://h/", "http://h#f", "http://h/#f", "http://h//", "http://h/../",
     "localhost:80",
     "http://h/?#", "javascript:alert(1)", "http://h\\@evil/", "http://h/\\", "/\ud800", "/?\udcff"],
)  # fmt: skip
def test_other_targets_are_refused(target: str) -> None:
    found = parse_target(target)
    assert found is None or canonical_host(found.authority or "") is None


@given(st.text(max_size=30) | PATHS.map(lambda path: path + "?x=%0a") | PATHS.map(lambda path: "http://h" + path))
def test_any_target_gives_visible_ascii_or_nothing(target: str) -> None:
    found = parse_target(target)
    if found is not None:
        for text in (found.path, found.query):
            assert all("!" <= char <= "~" for char in text) and "#" not in text
        assert found.path == "*" or canonical_path(found.path) == found.path


@pytest.mark.parametrize(
    ("value", "host", "name"),
    [
        ("example.com", "example.com", "example.com"),
        ("Example.COM:8080", "example.com:8080", "example.com"),
        ("example.com.", "example.com.", "example.com"),
        ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1"),
        ("[::1]:8443", "[::1]:8443", "[::1]"),
        ("[2001:DB8::1]", "[2001:db8::1]", "[2001:db8::1]"),
        ("a_b.internal", "a_b.internal", "a_b.internal"),
        ("localhost", "localhost", "localhost"),
    ],
)
def test_a_host_is_lower_case_and_has_a_name(value: str, host: str, name: str) -> None:
    assert canonical_host(value) == host
    assert without_port(host) == name


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "a,b", "a/b", "a?b", "a#b", "a@b", "u:p@h", "a:", "a:b", "a:123456", "a:80:80", "::1", "[::1",
     "::1]", "[]",
     "[g::1]", "[::1]x", "a..b", ".a", "-a", "a\\b", "a%2eb", "é", "a\x00", "a\n", "a\tb", "(a)", "a;b", "*", "*.a",
     "a'b", '"a"', "a" * 300],
)  # fmt: skip
def test_what_is_no_host_is_refused(value: str) -> None:
    assert canonical_host(value) is None


@given(st.text(max_size=20))
def test_a_canonical_host_is_its_own_canon(value: str) -> None:
    host = canonical_host(value)
    assert host is None or canonical_host(host) == host

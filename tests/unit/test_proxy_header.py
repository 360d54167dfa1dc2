"""The PROXY header: what is one, whom it names, how long it is, and that whatever else somebody sends is refused as
soon as it can be told.
"""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.edge.proxy_header import MOST, MOST_V1, BadHeaderError, Header, read_header
from tests.kit.proxy_headers import SIGNATURE, v1, v2

BEHIND = b"GET / HTTP/1.1\r\n"
UNIX = b"/run/a".ljust(108, b"\0") + b"/run/b".ljust(108, b"\0")


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (v1("192.0.2.7"), "192.0.2.7"),
        (v1("2001:DB8:0::7", "2001:db8::1"), "2001:db8::7"),
        (v1("::ffff:192.0.2.7", "::ffff:10.0.0.1"), "192.0.2.7"),
        (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
        (b"PROXY TCP6 " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", "ffff:" * 7 + "ffff"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN " + b"ffff:" * 7 + b"ffff " + b"ffff:" * 7 + b"ffff 65535 65535\r\n", None),
        (b"PROXY UNKNOWN whatever \xff\r\n", None),
        (v2("192.0.2.7"), "192.0.2.7"),
        (v2("2001:db8::7", "2001:db8::1"), "2001:db8::7"),
        (v2("::ffff:192.0.2.7", "::1"), "192.0.2.7"),
        (v2("192.0.2.7", more=b"\x04\0\x03abc"), "192.0.2.7"),
        (v2("192.0.2.7", more=b"x" * (MOST - 16 - 12)), "192.0.2.7"),
        (v2(None), None),
        (v2(None, more=b"\x04\0\x03abc"), None),
        (v2("192.0.2.7", command=0x20), None),
        (v2(None, command=0x20, kind=0xFF), None),
        (v2(None, command=0x21, kind=0x00), None),
        (v2(None, command=0x21, kind=0x31, more=UNIX), None),
        (v2("192.0.2.7", kind=0x12), None),
    ],
)
def test_a_whole_header_names_the_client_or_nobody(header: bytes, client: str | None) -> None:
    assert read_header(header) == read_header(header + BEHIND) == Header(len(header), client)
    for cut in range(len(header)):
        assert read_header(header[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        BEHIND,
        b"\x16\x03\x01\x02\0",  # a TLS handshake
        b"\r\n\r\nG",
        b"PROXY\r\n",
        b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n",
        b"PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
        b"PROXY TCP4 192.0.2.07 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2 10.0.0.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n",
        b"PROXY TCP4 192.0.2.7 2001:db8::1 1 2\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY TCP6 2001:db8::7%eth0 2001:db8::1 1 2\r\n",
        b"PROXY TCP6 2001:db8:::7 2001:db8::1 1 2\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 1 2\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY UNKNOWN a\rb\r\n",
        b"PROXY UNKNOWN \n",
        b"PROXY UNKNOWN " + b"x" * 93,  # as long as a line may be, and not ended
        b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n",
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),  # version 1 in the dress of version 2
        SIGNATURE + b"\x31\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x41\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x13\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x0f\xf1",  # one byte too long, known before it has come
        SIGNATURE + b"\x20\x00\xff\xff",
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(BadHeaderError):
        read_header(data)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(SIGNATURE.__add__),
                 st.binary(max_size=200).map(b"PROXY ".__add__),
                 st.text("0123456789abcdef:. TCP46\r\n").map(lambda text: b"PROXY TCP" + text.encode())))  # fmt: skip
@example(b"")
def test_whatever_comes_is_a_header_a_part_of_one_or_refused(data: bytes) -> None:
    try:
        found = read_header(data)
    except BadHeaderError:
        with pytest.raises(BadHeaderError):  # nor does it become one by what follows
            read_header(data + b"\r\n")
        return
    if found is None:
        assert len(data) < (MOST if data.startswith(SIGNATURE) else MOST_V1)
    else:
        assert 0 < found.size <= min(len(data), MOST)
        assert found.client is None or str(ipaddress.ip_address(found.client)) == found.client


@given(st.ip_addresses(), st.integers(0, 65535), st.sampled_from([v1, v2]), st.binary(max_size=50))
def test_every_address_is_read_as_it_was_written(address: ipaddress.IPv4Address, port: int, write: type[bytes],
                                                 behind: bytes) -> None:  # fmt: skip
    header = write(str(address), "::1" if address.version == 6 else "10.0.0.1", port)  # type: ignore[arg-type,call-arg]
    expected = getattr(address, "ipv4_mapped", None) or address
    assert read_header(header + behind) == Header(len(header), str(expected))


def test_the_signature_and_the_longest_line_are_those_of_the_standard() -> None:
    assert (SIGNATURE.hex(), MOST_V1) == ("0d0a0d0a000d0a515549540a", 107)

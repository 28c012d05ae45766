"""The PROXY protocol, both versions, and what hostile peers send in its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.net.proxy_protocol import (
    NOBODY,
    HeaderReader,
    MalformedHeader,
    ProxyHeader,
    encode,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = ProxyHeader(("192.0.2.1", 5000), ("198.51.100.2", 443))
V4_BLOCK = b"\xc0\x00\x02\x01\xc6\x33\x64\x02\x13\x88\x01\xbb"


def read(data, size=1):
    reader = HeaderReader()
    for start in range(0, len(data), size):
        header = reader.feed(data[start : start + size])
        if header is not None:
            return header, reader.rest() + data[start + size :]
    return None, b""


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("data", "header"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443\r\n", V4),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n",
         ProxyHeader(("2001:db8::1", 5000), ("2001:db8::2", 443))),
        (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 5000 443\r\n", V4),
        (b"PROXY UNKNOWN\r\n", NOBODY),
        (b"PROXY UNKNOWN ffff::1 what ever 1 2\r\n", NOBODY),
        (SIGNATURE + b"\x21\x11\x00\x0c" + V4_BLOCK, V4),
        (SIGNATURE + b"\x21\x11\x00\x13" + V4_BLOCK + b"\x04\x00\x04noop", V4),
        (SIGNATURE + b"\x20\x00\x00\x00", NOBODY),
        (SIGNATURE + b"\x20\x11\x00\x0c" + V4_BLOCK, NOBODY),
        (SIGNATURE + b"\x21\x00\x00\x00", NOBODY),
        (SIGNATURE + b"\x21\x31\x00\xd8" + b"\0" * 216, NOBODY),
    ],
)  # fmt: skip
def test_a_header_is_read_however_it_is_cut_and_what_follows_is_kept(data, header, size):
    assert read(data + b"GET /", size) == (header, b"GET /")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 5000\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 05000 443\r\n",
        b"PROXY TCP4 192.0.2.1  198.51.100.2 5000 443\r\n",
        b"PROXY TCP4 192.0.2.01 198.51.100.2 5000 443\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 5000 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.2 5000 443\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.2 5000 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.2 5000 443 \r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE + b"\x11\x11\x00\x0c" + V4_BLOCK,
        SIGNATURE + b"\x22\x11\x00\x0c" + V4_BLOCK,
        SIGNATURE + b"\x21\x11\x00\x0b" + V4_BLOCK,
        SIGNATURE + b"\x21\x11\xff\xff",
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(MalformedHeader):
        read(data)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", SIGNATURE, SIGNATURE + b"\x21"]))
def test_hostile_bytes_are_a_header_refused_or_waited_for(data, start):
    try:
        header, rest = read(start + data, 50)
    except MalformedHeader:
        return
    assert header is None or (start + data).endswith(rest)


def endpoints(**more):
    return st.tuples(st.ip_addresses(**more).map(str), st.integers(0, 65535))


@given(
    st.one_of(*(st.builds(ProxyHeader, endpoints(v=v), endpoints(v=v)) for v in (4, 6))),
    st.sampled_from(["v1", "v2"]),
)
def test_what_is_written_is_read(header, version):
    read_again, rest = read(encode(header, version) + b"x", 11)

    if not any("::ffff:" in host for host, _ in (header.source, header.destination)):
        assert read_again == header
    assert rest == b"x"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_addresses_of_two_families_are_written_as_ipv6_ones(version):
    header = ProxyHeader(("192.0.2.1", 1), ("2001:db8::2", 2))

    assert read(encode(header, version), 1000)[0] == header
    assert read(encode(NOBODY, version), 1000)[0] == NOBODY

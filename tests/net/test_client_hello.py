"""The first words of TLS clients."""

from __future__ import annotations

import ssl
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.net.client_hello import HelloReader, NotClientHello, begins_tls


def hello(name, **options):
    """Give what OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for option, value in options.items():
        setattr(context, option, value)
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def read_client_hello(data):
    """Read all that came so far."""
    return HelloReader().feed(data)


def in_records(data, size):
    """Put the same handshake into several records."""
    handshake = data[5:]
    pieces = [handshake[n : n + size] for n in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + len(each).to_bytes(2, "big") + each for each in pieces)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_servers_name_is_read(version):
    data = hello("WWW.Example.com", maximum_version=version)

    assert begins_tls(data)
    assert read_client_hello(data).server_name == "www.example.com"


@pytest.mark.parametrize("name", [None, "192.0.2.1"])
def test_a_client_may_name_none(name):
    assert read_client_hello(hello(name)).server_name == ""


@pytest.mark.parametrize("size", [1, 3, 4, 5, 50, 200])
def test_it_may_lie_in_several_records_and_come_in_any_pieces(size):
    data = in_records(hello("a.example"), size)

    for end in range(len(data)):
        assert read_client_hello(data[:end]) is None
    assert read_client_hello(data).server_name == "a.example"


def test_what_follows_is_not_looked_at():
    assert read_client_hello(hello("a.example") + b"\x17\x03\x03\x00").server_name == "a.example"


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x02\x01\x00\x05hello",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",  # a server's
        b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
        b"\x16\x03\x01\x00\x04\x01\x00\x00\x05\x15\x03\x01\x00\x02",
        hello("a.example").replace(b"a.example", b"a.\x00xample"),
        hello("a.example").replace(b"a.example", b"a.ex/mple"),
    ],
)
def test_what_is_none_is_refused(data):
    with pytest.raises(NotClientHello):
        read_client_hello(data)


@given(st.integers(0, 600), st.binary(min_size=1, max_size=8))
def test_no_damage_breaks_it(position, damage):
    data = bytearray(hello("a.example"))
    data[position : position + len(damage)] = damage
    try:
        read_client_hello(bytes(data))
    except NotClientHello:
        pass


@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_break_it(data):
    try:
        read_client_hello(b"\x16\x03\x01" + data)
    except NotClientHello:
        pass


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\r\n", b"PRI * HTTP/2.0"])
def test_http_does_not_begin_so(data):
    assert not begins_tls(data)


def test_what_is_sent_early_behind_it_is_not_looked_at_either():
    """RFC 8446 section 2.3, and appendix D.4 for the change of cipher."""
    early = b"\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x10" + b"e" * 16

    assert read_client_hello(hello("a.example") + early).server_name == "a.example"


def test_it_is_not_read_anew_for_each_byte_that_comes():
    """A hello of 16 KiB in records of a byte: what is quadratic takes minutes here."""
    reader = HelloReader()
    data = in_records(b"\x16\x03\x01\x00\x00\x01\x00\x40\x00" + bytes(16 * 1024 - 1), 1)
    started = time.process_time()

    for n in range(len(data)):
        assert reader.feed(data[n : n + 1]) is None
    assert time.process_time() - started < 5

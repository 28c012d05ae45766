"""What a proxy rewrites in fields: on the way there, on the way back, for whom it trusts or not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.engine import forwarding
from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, Disclosure, ForwardingRules
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import RequestReader, ResponseReader
from proxykit.message.fields import HOP_BY_HOP

TRUSTED = (ipaddress.ip_network("192.0.2.0/24"),)
REVERSE = ForwardingRules(Direction.REVERSE, b"us", TRUSTED)
FORWARD = ForwardingRules(Direction.FORWARD, b"us", TRUSTED)
OWN = {b"host", b"via", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"}


def sent(rules, fields, peer="198.51.100.7", change=None):
    """Give the lines that a server gets for a request with these field lines."""
    reader = RequestReader(HeadLimits())
    reader.feed(b"GET / HTTP/1.1\r\nHost: A.example:80\r\n" + fields + b"\r\n")
    exchange = Exchange(None, reader.next_event(), peer, peer, "http", 0.0)
    if change is not None:
        change(exchange.request.headers)
    return rules.request_fields(exchange, object(), None).split(b"\r\n")[:-1]


def returned(fields, change=None):
    """Give the lines that a client gets for a response with these field lines."""
    reader = ResponseReader(HeadLimits())
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n")
    response = reader.next_event()
    if change is not None:
        change(response.headers)
    return REVERSE.response_fields(response, content_length=True).split(b"\r\n")[:-1]


def test_fields_pass_as_they_came_and_ours_stand_behind_them():
    assert sent(REVERSE, b"X-b: 1\r\na:2\r\nX-B: 3\r\n") == [
        b"Host: a.example:80",
        b"X-b: 1",
        b"a:2",
        b"X-B: 3",
        b"Via: 1.1 us",
        b"X-Forwarded-For: 198.51.100.7",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: a.example:80",
        b'Forwarded: for=198.51.100.7;host="a.example:80";proto=http',
    ]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_what_concerns_one_connection_goes(name):
    if name == b"transfer-encoding":
        return  # the reader frames by it
    lines = sent(FORWARD, b"Keep: 1\r\n%s: x\r\n%s: y\r\nToo: 2\r\n" % (name.title(), name))

    assert [line.partition(b":")[0] for line in lines] == [
        b"Host",
        b"Keep",
        b"Too",
        b"Via",
        b"X-Forwarded-For",
    ]


def test_what_connection_names_goes_but_nothing_that_a_filter_has_set():
    fields = b"Connection: keep-alive, X-Secret, X-User, via\r\nX-Secret: 1\r\nX-User: me\r\n"

    assert not [line for line in sent(FORWARD, fields) if b"X-Secret" in line or b"me" in line]
    lines = sent(FORWARD, fields, change=lambda headers: headers.set(b"X-User", b"ada"))
    assert b"X-User: ada" in lines
    assert b"Via: 1.1 us" in lines
    assert not [line for line in lines if b"X-Secret" in line]


def test_lists_are_continued_in_their_order():
    fields = b"Via: 1.0 a\r\nX-Forwarded-For: 203.0.113.1\r\nVIA: 1.1 b\r\nx-forwarded-for: 192.0.2.8\r\n"

    lines = sent(REVERSE, fields, peer="192.0.2.9")

    assert b"Via: 1.0 a, 1.1 b, 1.1 us" in lines
    assert b"X-Forwarded-For: 203.0.113.1, 192.0.2.8, 192.0.2.9" in lines
    assert b"Via: 1.0 a, 1.1 b, 1.1 us" in returned(b"Via: 1.0 a\r\nVia: 1.1 b\r\n")


def test_a_list_that_is_empty_is_begun():
    lines = sent(REVERSE, b"Via:\r\nX-Forwarded-For: ,\r\nVia: \r\n", peer="192.0.2.9")

    assert b"Via: 1.1 us" in lines
    assert b"X-Forwarded-For: 192.0.2.9" in lines
    assert b"Via: 1.1 a, 1.1 us" in returned(b"Via: 1.1 a\r\nVia:\r\n")


def test_a_trusted_proxy_is_believed_and_nobody_else():
    told = b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: b\r\nX-Real-IP: 203.0.113.1\r\n"

    trusted = sent(REVERSE, told, peer="192.0.2.9")
    assert {b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b", b"X-Real-IP: 203.0.113.1"} < set(
        trusted
    )
    others = sent(REVERSE, told)
    assert {b"X-Forwarded-Proto: http", b"X-Forwarded-Host: a.example:80"} < set(others)
    assert not [line for line in others if b"203.0.113.1" in line]


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"x-forwarded_proto", b"X_Real_IP"])
def test_a_forwarding_field_is_known_by_the_name_that_a_gateway_makes_of_it(name):
    """RFC 3875 section 4.1.18: to a CGI or WSGI server a hyphen and an underscore are the same."""
    assert not [line for line in sent(REVERSE, name + b": 203.0.113.1\r\n") if b"203" in line]


def test_what_a_trusted_proxy_passes_on_of_an_address_that_has_a_zone_is_the_address():
    reader = RequestReader(HeadLimits())
    reader.feed(b'GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: fe80::1%\xe9 "x, 192.0.2.8\r\n\r\n')

    assert REVERSE.client_address("192.0.2.9", reader.next_event().section) == "fe80::1"


@pytest.mark.parametrize("peer", ["192.0.2.9", "198.51.100.7"])
@pytest.mark.parametrize("disclosure", [Disclosure.NOTHING, Disclosure.PROXY])
def test_servers_are_told_no_more_than_is_disclosed(disclosure, peer):
    rules = ForwardingRules(Direction.REVERSE, b"us", TRUSTED, disclosure)

    lines = sent(rules, b"Forwarded: for=a\r\nX-Forwarded-For: 203.0.113.1\r\n", peer=peer)

    assert lines[1:] == ([b"Via: 1.1 us"] if disclosure is Disclosure.PROXY else [])


def test_an_address_of_ipv6_is_quoted():
    assert b'Forwarded: for="[2001:db8::1]";host="a.example:80";proto=http' in sent(
        REVERSE, b"", peer="2001:db8::1"
    )


def test_a_response_without_a_date_gets_one_and_one_with_it_keeps_it():
    assert [line for line in returned(b"") if line.startswith(b"Date: ")]
    assert returned(b"Date: then\r\nContent-Length: 07\r\n") == [
        b"Date: then",
        b"Content-Length: 7",
        b"Via: 1.1 us",
    ]


def test_a_date_that_is_made_here_is_made_anew_for_each_response(monkeypatch):
    """RFC 9110 section 6.6.1."""
    fields = b"Date: then\r\nConnection: date\r\n"
    for now in (b"now", b"later", b"later still"):
        monkeypatch.setattr(forwarding, "formatdate", lambda usegmt, now=now: now.decode())
        assert returned(fields) == [b"Date: " + now, b"Via: 1.1 us"]


def test_a_response_is_sent_as_filters_left_it():
    def change(headers):
        headers.remove(b"server")
        headers.add(b"X-New", b"1")

    assert returned(b"Server: x\r\nDate: then\r\nConnection: close\r\n", change) == [
        b"Date: then",
        b"X-New: 1",
        b"Via: 1.1 us",
    ]


NAMES = st.sampled_from(
    [b"A", b"b", b"Te", b"Connection", b"via", b"X-Forwarded-For", b"Forwarded", b"Upgrade"]
)
VALUES = st.sampled_from([b"", b"1", b"a, b", b"x"])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans())
def test_changing_nothing_in_a_filter_changes_nothing(fields, is_trusted):
    lines = b"".join(b"%s: %s\r\n" % field for field in fields)
    peer = "192.0.2.9" if is_trusted else "198.51.100.7"

    untouched = sent(REVERSE, lines, peer)

    assert untouched == sent(REVERSE, lines, peer, change=lambda headers: None)
    kept = [line for line in untouched if line.partition(b":")[0].lower() not in OWN]
    options = {
        option.strip()
        for name, value in fields
        if name == b"Connection"
        for option in value.lower().split(b",")
    }
    dropped = HOP_BY_HOP | options | OWN
    assert kept == [b"%s: %s" % field for field in fields if field[0].lower() not in dropped]

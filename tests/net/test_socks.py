"""SOCKS, both parts, by their memos and RFCs; and what hostile peers send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.net.socks.addresses import Datagram, decode_datagram, encode_datagram
from proxykit.net.socks.client import ClientHandshake, CredentialsRefused, RequestRefused
from proxykit.net.socks.server import Credentials, Greeting, ServerHandshake, SocksRequest
from proxykit.net.socks.words import MalformedSocks, Method, Reply

V6 = b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1"


def serve(*pieces, method=Method.NONE, accepted=True):
    """Run the server's part over what a client sends; give its events and what was left."""
    handshake = ServerHandshake()
    events = []
    for piece in pieces:
        handshake.feed(piece)
        while (event := handshake.next_event()) is not None:
            events.append(event)
            if isinstance(event, Greeting):
                handshake.select(method)
            elif isinstance(event, Credentials):
                handshake.judge(accepted=accepted)
    return events, handshake.rest()


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", SocksRequest(4, 1, "127.0.0.1", 80)),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01me\x00", SocksRequest(4, 1, "127.0.0.1", 80, b"me")),
        (b"\x04\x02\x00\x50\x00\x00\x00\x00\x00", SocksRequest(4, 2, "0.0.0.0", 80)),
        (b"\x04\x01\x01\xbb\x00\x00\x00\x01me\x00A.example\x00",
         SocksRequest(4, 1, "a.example", 443, b"me")),
        (b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50",
         SocksRequest(5, 1, "127.0.0.1", 80)),
        (b"\x05\x02\x00\x02\x05\x03\x00\x04" + V6 + b"\x00\x35",
         SocksRequest(5, 3, "2001:db8::1", 53)),
        (b"\x05\x01\x00\x05\x01\x00\x03\x09a.Example\x00\x50",
         SocksRequest(5, 1, "a.example", 80)),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03::1\x00\x50", SocksRequest(5, 1, "::1", 80)),
        (b"\x05\x01\x00\x05\x09\x00\x03\x01a\x00\x50", SocksRequest(5, 9, "a", 80)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_request_is_read_however_it_is_cut_and_what_follows_is_kept(data, request_, size):
    whole = data + b"GET"
    # All of it may come at once only where the client need not wait for an answer.
    events, rest = serve(*(whole[i : i + size] for i in range(0, len(whole), size)))

    assert events[-1] == request_
    assert rest == b"GET"


def test_a_user_and_a_password_are_read():
    data = b"\x05\x02\x00\x02", b"\x01\x03ada\x06s3cret", b"\x05\x01\x00\x03\x01a\x00\x50"

    events, _ = serve(*data, method=Method.PASSWORD)

    assert events[0] == Greeting(frozenset({0, 2}))
    assert events[1] == Credentials(b"ada", b"s3cret")
    assert "s3cret" not in repr(events[1])
    assert events[2] == SocksRequest(5, 1, "a", 80)


def test_nothing_is_read_behind_refused_credentials():
    data = b"\x05\x01\x02\x01\x01a\x01b\x05\x01\x00\x03\x01a\x00\x50"

    events, _ = serve(data, method=Method.PASSWORD, accepted=False)

    assert events[-1] == Credentials(b"a", b"b")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"GET / HTTP/1.1\r\n", "71 is not a version"),
        (b"\x16\x03\x01", "22 is not a version"),
        (b"\x05\x01\x00\x04\x01\x00\x01", "not of version 5"),
        (b"\x05\x01\x00\x05\x01\x00\x02\x00", "2 is not a type of address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a\x00b\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a\r\n\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a b\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x03a:b\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x02\xc3\xa9\x00\x50", "neither a name nor an address"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x09" + b"fe80::1%1\x00\x50", "neither a name nor"),
        (b"\x05\x01\x00\x05\x01\x00\x03\x0c" + b"2600::1%\r\nX:y\x00\x50", "neither a name nor"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01" + b"x" * 300, "the user's id does not end"),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00" + b"x" * 300, "the name does not end"),
        (b"\x04\x01\x00\x50\x00\x00\x00\x01\x00\x00", "neither a name nor an address"),
    ],
)
def test_what_is_not_socks_is_a_clear_error(data, message):
    with pytest.raises(MalformedSocks, match=message):
        serve(data)


@given(st.binary(max_size=600), st.sampled_from([b"", b"\x05\x01\x02", b"\x04\x01\x00\x50"]))
def test_hostile_bytes_end_in_events_or_a_clear_error(data, start):
    try:
        events, rest = serve(start + data, method=Method.PASSWORD)
    except MalformedSocks:
        return
    assert len(events) <= 3
    assert (start + data).endswith(rest)


@pytest.mark.parametrize(
    ("greeting", "reply", "address", "expected"),
    [
        (b"\x05\x01\x00", Reply.SUCCEEDED, ("192.0.2.1", 80),
         b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50"),
        (b"\x05\x01\x00", Reply.REFUSED, ("2001:db8::1", 1), b"\x05\x05\x00\x04" + V6 + b"\0\1"),
        (b"\x05\x01\x00", Reply.SUCCEEDED, ("::ffff:192.0.2.1", 80),
         b"\x05\x00\x00\x01\xc0\x00\x02\x01\x00\x50"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", Reply.SUCCEEDED, ("192.0.2.1", 80),
         b"\x00\x5a\x00\x50\xc0\x00\x02\x01"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", Reply.NOT_ALLOWED, ("::1", 0),
         b"\x00\x5b\x00\x00\x00\x00\x00\x00"),
    ],
)  # fmt: skip
def test_replies(greeting, reply, address, expected):
    handshake = ServerHandshake()
    handshake.feed(greeting)
    handshake.next_event()

    assert handshake.reply(reply, *address) == expected


# --- datagrams --------------------------------------------------------------------------------


@given(
    st.one_of(
        st.ip_addresses().map(str),
        st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,4}", fullmatch=True),
    ),
    st.integers(0, 65535),
    st.binary(max_size=100),
)
def test_a_datagram_survives_the_way_there_and_back(host, port, data):
    assert decode_datagram(encode_datagram(Datagram(host, port, data))) == Datagram(
        host, port, data
    )


def test_a_fragment_is_dropped():
    assert decode_datagram(b"\0\0\1\x01\x7f\0\0\1\0\x35data") is None


@given(st.binary(max_size=300))
def test_a_hostile_datagram_is_one_a_fragment_or_an_error(data):
    try:
        datagram = decode_datagram(b"\0\0\0" + data)
    except MalformedSocks:
        return
    assert data.endswith(datagram.data)


# --- the client's part ------------------------------------------------------------------------


def ask(version, host, answers, **more):
    handshake = ClientHandshake(version, host, 80, **more)
    said = [handshake.begin()]
    for answer in answers:
        said += [handshake.received(answer[i : i + 1]) for i in range(len(answer))]
    return b"".join(said), handshake.rest


def test_version_5_sends_a_name_as_a_name():
    said, rest = ask(5, "a.example", [b"\x05\x00", b"\x05\x00\x00\x01\x7f\0\0\1\0\x50"])

    assert said == b"\x05\x01\x00" + b"\x05\x01\x00\x03\x09a.example\x00\x50"
    assert rest == b""


def test_version_5_sends_a_user_and_a_password_when_asked():
    said, rest = ask(
        5,
        "192.0.2.1",
        [b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03\x02ab\0\x50"],
        user=b"ada",
        password=b"pw",
    )

    assert b"\x05\x02\x00\x02" + b"\x01\x03ada\x02pw" in said
    assert rest == b""


def test_version_4_sends_an_address_and_4a_a_name():
    assert ask(4, "192.0.2.1", [b"\0\x5a" + b"\0" * 6], user=b"me") == (
        b"\x04\x01\x00\x50\xc0\x00\x02\x01me\x00",
        b"",
    )
    assert ask(4, "a.example", [b"\0\x5a" + b"\0" * 6]) == (
        b"\x04\x01\x00\x50\x00\x00\x00\x01\x00a.example\x00",
        b"",
    )


def test_what_comes_behind_the_handshake_is_kept():
    handshake = ClientHandshake(5, "a", 80)
    handshake.received(b"\x05\x00\x05\x00\x00\x01\x7f\0\0\1\0\x50SSH-2.0")

    assert handshake.rest == b"SSH-2.0"


@pytest.mark.parametrize(
    ("version", "answer", "error"),
    [
        (5, b"\x05\xff", CredentialsRefused),
        (5, b"\x05\x02", CredentialsRefused),  # and there is no user
        (5, b"\x05\x00\x05\x05", RequestRefused),
        (5, b"\x05\x00\x05\x77", RequestRefused),
        (5, b"\x05\x00\x05\x00\x00\x09\x01", MalformedSocks),
        (5, b"\x05\x00\x04\x00", MalformedSocks),
        (5, b"HTTP/1.1 400", MalformedSocks),
        (4, b"\x00\x5b", RequestRefused),
        (4, b"\x00\x5d", CredentialsRefused),
        (4, b"\x05\x00", MalformedSocks),
    ],
)
def test_a_server_that_does_not_connect_is_a_clear_error(version, answer, error):
    handshake = ClientHandshake(version, "a", 80)
    handshake.begin()

    with pytest.raises(error):
        handshake.received(answer)


def test_version_4_has_no_ipv6():
    with pytest.raises(RequestRefused):
        ClientHandshake(4, "::1", 80).begin()


@given(st.integers(4, 5), st.binary(max_size=60))
def test_a_hostile_server_is_refused_or_waited_for(version, data):
    handshake = ClientHandshake(version, "a", 80, b"u", b"p")
    handshake.begin()
    try:
        handshake.received(data)
    except (MalformedSocks, CredentialsRefused, RequestRefused):
        return
    assert handshake.rest is None or data.endswith(handshake.rest)


@given(
    st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,4}", fullmatch=True),
    st.integers(1, 65535),
    st.integers(4, 5),
    st.binary(max_size=40),
)
def test_both_parts_understand_each_other(host, port, version, after):
    client, server = ClientHandshake(version, host, port, b"ada"), ServerHandshake()
    to_server, request = client.begin(), None
    while client.rest is None:
        server.feed(to_server)
        event = server.next_event()
        if isinstance(event, Greeting):
            answer = server.select(Method.PASSWORD)
        elif isinstance(event, Credentials):
            assert event.user == b"ada"
            answer = server.judge(accepted=True)
        else:
            request, answer = event, server.reply(Reply.SUCCEEDED, "192.0.2.1", 1) + after
        to_server = client.received(answer)

    assert (request.version, request.host, request.port) == (version, host, port)
    assert client.rest == after

"""Nothing ambiguous goes upstream, and no ambiguous response comes back."""

from __future__ import annotations

import pytest

from tests.scripted import ScriptedOrigin, exchange, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

HOSTILE_REQUESTS = {
    "CL.TE": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "TE.CL": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n" + SECOND,
    "TE.TE": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n" + SECOND,
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "xchunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "quoted chunked": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE with a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n" + SECOND,
    "two equal lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\nok",
    "a signed length": POST + b"Content-Length: +2\r\n\r\nok",
    "a negative length": POST + b"Content-Length: -2\r\n\r\nok",
    "a hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\nok",
    "a length with an underscore": POST + b"Content-Length: 1_0\r\n\r\n" + SECOND,
    "obs-fold": POST + b"X: a\r\n Content-Length: 2\r\n\r\nok",
    "a folded first field": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF in a field": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n",
    "bare CR in a field": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n",
    "NUL in a field": b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 2\r\n\r\nok",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two equal Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "a Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a Host with user information": b"GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
    "absolute-form against Host": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces in the line": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a space": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a fragment": b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target with a raw byte": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "a strange version": b"GET / HTTP/1.01\r\nHost: a\r\n\r\n",
    "CONNECT with content": b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 2\r\n\r\nok",
}
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HOSTILE_CHUNKS = {
    "0x": b"0x2\r\nok\r\n0\r\n\r\n",
    "plus": b"+2\r\nok\r\n0\r\n\r\n",
    "minus": b"-2\r\nok\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nok\r\n0\r\n\r\n",
    "leading space": b" 2\r\nok\r\n0\r\n\r\n",
    "overflow": b"10000000000000002\r\nok\r\n0\r\n\r\n",
    "empty size": b"\r\nok\r\n0\r\n\r\n",
    "bare LF behind a size": b"2\nok\r\n0\r\n\r\n",
    "bare LF in an extension": b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "bare CR in an extension": b"2;a\rb\r\nok\r\n0\r\n\r\n",
    "longer than said": b"2\r\nokay\r\n0\r\n\r\n",
    "bare LF behind data": b"2\r\nok\n0\r\n\r\n",
    "bare LF in trailers": b"0\r\nX: a\nY: b\r\n\r\n",
    "a folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
}
HOSTILE_RESPONSES = {
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "a strange coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "splitting by bare CR": b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "obs-fold": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
    "a strange status": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an unasked switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
}


@pytest.fixture(scope="module")
def origin():
    with ScriptedOrigin(reply(FINE)) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(start, origin):
    return start("reverse", "--backend", origin.url)


@pytest.mark.parametrize("data", HOSTILE_REQUESTS.values(), ids=HOSTILE_REQUESTS)
def test_an_ambiguous_head_is_refused_and_never_seen_by_the_origin(proxy, origin, data):
    seen = len(origin.heads())

    answer = exchange(proxy.address, data)

    assert answer.split(b" ")[1] in (b"400", b"505")
    assert answer.count(b"\r\nContent-Length: ") == 1, "one answer, then the connection is closed"
    assert len(origin.heads()) == seen


@pytest.mark.parametrize("chunks", HOSTILE_CHUNKS.values(), ids=HOSTILE_CHUNKS)
def test_faulty_chunks_are_refused_and_what_follows_is_not_a_request(proxy, origin, chunks):
    answer = exchange(proxy.address, CHUNKED + chunks + SECOND)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not any(b"smuggled" in head for head in origin.heads())
    fine = exchange(proxy.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert fine.endswith(b"\r\n\r\nok"), "another client's exchange is not harmed"


@pytest.mark.parametrize("data", HOSTILE_RESPONSES.values(), ids=HOSTILE_RESPONSES)
def test_an_ambiguous_response_is_a_502(proxy, origin, data):
    origin.script = reply(data)
    try:
        answer = exchange(proxy.address, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    finally:
        origin.script = reply(FINE)

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"Set-Cookie" not in answer


def test_an_upgrade_to_h2c_is_not_passed_on(proxy, origin):
    request = (
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    )

    exchange(proxy.address, request)

    assert b"h2c" not in b"".join(map(bytes, origin.received))


def test_fields_that_connection_names_do_not_go_upstream(proxy, origin):
    exchange(
        proxy.address,
        b"GET /n HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n\r\n",
    )

    assert b"X-Secret" not in b"".join(map(bytes, origin.received))

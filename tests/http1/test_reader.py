"""What the readers take, what they refuse, and how they frame."""

from __future__ import annotations

import pytest

from proxykit.errors import BadRequest, BadResponse, HeadTooLarge, ProxykitError, TargetTooLong
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import EndOfMessage, RequestReader, ResponseReader
from proxykit.message.request import Request
from proxykit.message.response import Response


def read_request(data: bytes, pieces: int = 0) -> tuple[Request, bytes, EndOfMessage | None]:
    """Read one request, whole or in pieces of a size."""
    reader = RequestReader(HeadLimits())
    return _read(reader, data, pieces)


def read_response(
    data: bytes, method: bytes = b"GET", pieces: int = 0
) -> tuple[Response, bytes, EndOfMessage | None]:
    """Read one response to a method, whole or in pieces of a size."""
    reader = ResponseReader(HeadLimits())
    reader.expect(method)
    return _read(reader, data, pieces)


def _read(reader, data, pieces):
    head, content, end = None, b"", None
    size = pieces or len(data)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while end is None and (event := reader.next_event()) is not None:
            if isinstance(event, bytes):
                content += event
            elif isinstance(event, EndOfMessage):
                end = event
            else:
                head = event
    return head, content, end


HOST = b"Host: a.example\r\n"

FRAMED = [
    (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", b""),
    (b"GET / HTTP/1.0\r\n\r\n", b""),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello", b"hello"),
    (b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", b""),
    (
        b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n",
        b"hello world",
    ),
    (
        b"POST / HTTP/1.1\r\n" + HOST + b"transfer-encoding: CHUNKED\r\n\r\n"
        b"00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
        b"0123456789",
    ),
    (b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", b""),
]


@pytest.mark.parametrize("pieces", [0, 1, 2, 7])
@pytest.mark.parametrize(("data", "content"), FRAMED)
def test_a_request_is_framed_the_same_whole_and_in_pieces(data, content, pieces):
    """However the bytes arrive, the content is the same."""
    request, read, _ = read_request(data, pieces)

    assert request is not None
    assert content == read


REFUSED = {
    "content-length beside transfer-encoding": HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "two lengths that differ": HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "two lengths that agree": HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n",
    "a list of lengths": HOST + b"Content-Length: 5, 5\r\n",
    "a signed length": HOST + b"Content-Length: +5\r\n",
    "a hexadecimal length": HOST + b"Content-Length: 0x5\r\n",
    "an empty length": HOST + b"Content-Length:\r\n",
    "another coding": HOST + b"Transfer-Encoding: gzip\r\n",
    "chunked not last": HOST + b"Transfer-Encoding: chunked, gzip\r\n",
    "two codings": HOST + b"Transfer-Encoding: gzip, chunked\r\n",
    "chunked twice": HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "a coding in quotes": HOST + b'Transfer-Encoding: "chunked"\r\n',
    "a coding with a vertical tab": HOST + b"Transfer-Encoding: \x0bchunked\r\n",
    "white space before a colon": HOST + b"Content-Length : 5\r\n",
    "a folded line": HOST + b"X: a\r\n b\r\n",
    "a folded line at the front": b" X: a\r\n" + HOST,
    "a bare line feed": HOST + b"X: a\nY: b\r\n",
    "a bare carriage return": HOST + b"X: a\rY: b\r\n",
    "a NUL": HOST + b"X: a\0b\r\n",
    "no colon": HOST + b"X\r\n",
    "an empty name": HOST + b": x\r\n",
    "no host": b"",
    "two hosts": HOST + HOST,
    "an empty host": b"Host: \r\n",
    "a host with a path": b"Host: a/b\r\n",
    "a host with user information": b"Host: u@a\r\n",
    "a host with a bad port": b"Host: a:99999\r\n",
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED)
def test_what_two_programs_could_read_in_two_ways_is_refused(fields):
    """Ambiguity is an error, never a guess."""
    with pytest.raises(BadRequest):
        read_request(b"POST / HTTP/1.1\r\n" + fields + b"\r\n")


BAD_CHUNKS = {
    "0x": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "space before": b" 5\r\nhello\r\n0\r\n\r\n",
    "space behind": b"5 \r\nhello\r\n0\r\n\r\n",
    "bare line feed": b"5\nhello\r\n0\r\n\r\n",
    "line feed in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "huge": b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
    "longer than said": b"5\r\nhelloX\r\n0\r\n\r\n",
    "bare line feed behind data": b"5\r\nhello\n0\r\n\r\n",
    "bad trailer": b"0\r\nX : y\r\n\r\n",
    "bare line feed in trailers": b"0\r\nX: y\n\r\n",
}


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_chunk_that_is_not_as_it_should_be_is_refused(chunks, pieces):
    """Chunks have one spelling."""
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with pytest.raises(BadRequest):
        read_request(head + chunks, pieces)


BAD_LINES = [
    b"GET  / HTTP/1.1\r\n",
    b"GET / HTTP/1.1 \r\n",
    b" GET / HTTP/1.1\r\n",
    b"GET /\r\n",
    b"GET / HTTP/1.1\n",
    b"GET / HTTP/2.0\r\n",
    b"GET / http/1.1\r\n",
    b"G\x00T / HTTP/1.1\r\n",
    b"GET /\x7f HTTP/1.1\r\n",
    b"GET /\xc3\xa9 HTTP/1.1\r\n",
    b"GET /#x HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n",
]


@pytest.mark.parametrize("line", BAD_LINES)
def test_a_request_line_that_breaks_the_grammar_is_refused(line):
    """There is one space, one version, one line end."""
    with pytest.raises(BadRequest):
        read_request(line + HOST + b"\r\n")


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"http://a.example/", b"b.example"),
        (b"http://a.example:81/", b"a.example"),
        (b"http://u@a.example/", b"a.example"),
        (b"http:///x", b"a.example"),
        (b"a.example", b"a.example"),
    ],
)
def test_a_target_that_host_contradicts_is_refused(target, host):
    """RFC 9112 section 3.2: one request is for one host."""
    with pytest.raises(BadRequest):
        read_request(b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")


def test_pipelined_requests_come_out_one_after_the_other():
    """What is behind a request stays in the reader until it is asked for."""
    reader = RequestReader(HeadLimits())
    reader.feed(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")

    assert [reader.next_event().raw_target for _ in range(2)] == [b"/1", b"/2"]
    assert reader.next_event() is None


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", TargetTooLong),
        (b"GET /" + b"x" * 9000, TargetTooLong),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40000, HeadTooLarge),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 200 + b"\r\n", HeadTooLarge),
    ],
)
def test_a_head_over_a_limit_is_refused(data, error):
    """A peer cannot make the reader hold more than a head's limit."""
    with pytest.raises(error):
        read_request(data)


RESPONSES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"GET", b"hi"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"HEAD", b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", b"GET", b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"GET", b""),
    (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"GET", b"hi"),
    (b"HTTP/1.0 200 OK\r\n\r\nhi", b"GET", b"hi"),
]


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize(("data", "method", "content"), RESPONSES)
def test_a_response_is_framed_by_its_status_and_the_request(data, method, content, pieces):
    """RFC 9112 section 6.3."""
    response, read, _ = read_response(data, method, pieces)

    assert response is not None
    assert content == read


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
        b"HTTP/1.1 099 Odd\r\n\r\n",
        b"HTTP/1.1 1000 Odd\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    ],
)
def test_a_bad_response_is_refused(data):
    """Responses are judged as strictly as requests."""
    with pytest.raises(BadResponse):
        read_response(data)


def test_content_that_ends_with_the_connection_is_complete_then():
    """Only a response without a length may end with its connection."""
    reader = ResponseReader(HeadLimits())
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhi")
    events = [reader.next_event(), reader.next_event(), reader.next_event()]

    assert events[1:] == [b"hi", None]
    assert isinstance(reader.close(), EndOfMessage)


def test_content_that_is_cut_short_is_not_complete():
    """A length or a last chunk that did not come is missed."""
    reader = ResponseReader(HeadLimits())
    reader.expect(b"GET")
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi")
    while reader.next_event() is not None:
        pass

    assert reader.close() is None


def test_every_refusal_says_why():
    """The sentence is for the log and the page."""
    with pytest.raises(ProxykitError, match="folded"):
        read_request(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n")


def test_a_response_without_fields_does_not_let_a_request_without_host_pass():
    read_response(b"HTTP/1.1 200 OK\r\n\r\n")

    with pytest.raises(BadRequest, match="no Host"):
        read_request(b"GET / HTTP/1.1\r\n\r\n")

"""Our readers beside llhttp (through httptools) and h11, on input that hypothesis makes up.

Where ours accepts a request and another parser accepts it too, both must see the same messages
with the same content. Where ours refuses, the others may do as they like: strictness is allowed.
"""

from __future__ import annotations

import h11
import httptools
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from proxykit.errors import BadRequest, BadResponse
from proxykit.http1.limits import HeadLimits
from proxykit.http1.reader import EndOfMessage, RequestReader, ResponseReader
from proxykit.http1.writer import chunk, last_chunk
from proxykit.message.fields import EMPTY_SECTION
from proxykit.message.framing import NoContent
from proxykit.message.request import Request

Messages = list[tuple[bytes, bytes, bytes]]


def ours(data: bytes) -> Messages:
    """Read all requests in some bytes: method, target, content of each complete one."""
    reader = RequestReader(HeadLimits())
    reader.feed(data)
    messages: Messages = []
    head, content = None, b""
    while (event := reader.next_event()) is not None:
        if isinstance(event, Request):
            head, content = event, b""
            if isinstance(event.framing, NoContent):
                messages.append((event.method, event.raw_target, b""))
        elif isinstance(event, EndOfMessage):
            messages.append((head.method, head.raw_target, content))
        else:
            content += event
    return messages


class _Llhttp:
    def __init__(self):
        self.messages: Messages = []
        self.target, self.content = b"", b""
        self.parser = httptools.HttpRequestParser(self)

    def on_message_begin(self):
        self.target, self.content = b"", b""

    def on_url(self, url):
        self.target += url

    def on_body(self, body):
        self.content += body

    def on_message_complete(self):
        self.messages.append((self.parser.get_method(), self.target, self.content))


def llhttp(data: bytes) -> Messages | None:
    """Read the same with llhttp; ``None`` when it refuses."""
    reader = _Llhttp()
    try:
        reader.parser.feed_data(data)
    except httptools.HttpParserError:
        return None
    return reader.messages


def h11_reads(data: bytes) -> Messages | None:
    """Read the first request with h11; ``None`` when it refuses or needs more."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    method = target = content = b""
    try:
        for _ in range(100):
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method, target = event.method, event.target
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return [(method, target, content)]
    except h11.RemoteProtocolError:
        pass
    return None


PIECES = [
    b"GET", b"POST", b" ", b"/", b"/x?y", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\r\n\r\n", b"\n",
    b"\r", b"Host: a\r\n", b"Host: b\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
    b"Content-Length: 3, 3\r\n", b"Content-Length: +3\r\n", b"Content-Length:3 \r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: xchunked\r\n",
    b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
    b" folded\r\n", b"\tfolded\r\n", b"X: y\r\n", b"X:\x00\r\n", b"X: \xff\r\n", b":\r\n", b"abc",
    b"3\r\nabc\r\n", b"3;x=y\r\nabc\r\n", b"3 \r\nabc\r\n", b"0x3\r\nabc\r\n", b"03\r\nabc\r\n",
    b"0\r\n\r\n", b"0\r\nT: v\r\n\r\n", b"3\nabc\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"http://a/", b"*", b"Connection: close\r\n", b"Upgrade: x\r\n",
]  # fmt: skip

START = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /p HTTP/1.1\r\nHost: a\r\n",
        b"POST /p HTTP/1.0\r\n",
        b"",
    ]
)
STREAMS = st.builds(
    lambda start, pieces: start + b"".join(pieces),
    START,
    st.lists(st.sampled_from(PIECES), max_size=8),
)


@settings(max_examples=1500)
@given(STREAMS)
def test_where_ours_and_llhttp_accept_they_read_the_same(data):
    """A difference would be a smuggled request."""
    try:
        mine = ours(data)
    except BadRequest:
        return
    theirs = llhttp(data)
    # llhttp stops at an Upgrade or a close that it takes for the end; what it read must agree.
    if theirs is not None and b"Upgrade" not in data and b"close" not in data:
        assert theirs == mine[: len(theirs)]
        assert len(theirs) >= len(mine)


@settings(max_examples=1500)
@given(STREAMS)
def test_where_ours_and_h11_accept_they_read_the_same(data):
    """The first message is the same with h11."""
    try:
        mine = ours(data)
    except BadRequest:
        return
    theirs = h11_reads(data)
    if theirs is not None and mine:
        assert theirs == mine[:1]


@settings(max_examples=500)
@given(STREAMS, st.data())
def test_how_the_bytes_arrive_makes_no_difference(data, draw):
    """The same bytes in other pieces give the same messages or the same refusal."""
    assume(data)
    try:
        whole = ours(data)
    except BadRequest:
        whole = None
    cut = draw.draw(st.integers(0, len(data)))
    reader = RequestReader(HeadLimits())
    pieces: Messages | None = []
    head, content = None, b""
    try:
        for piece in (data[:cut], data[cut:]):
            reader.feed(piece)
            while (event := reader.next_event()) is not None:
                if isinstance(event, Request):
                    head, content = event, b""
                    if isinstance(event.framing, NoContent):
                        pieces.append((event.method, event.raw_target, b""))
                elif isinstance(event, EndOfMessage):
                    pieces.append((head.method, head.raw_target, content))
                else:
                    content += event
    except BadRequest:
        pieces = None

    assert whole == pieces


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_no_bytes_make_a_reader_fail_otherwise(data):
    """Whatever a peer sends, a reader reads it or refuses it."""
    reader = RequestReader(HeadLimits())
    reader.feed(data)
    try:
        while reader.next_event() is not None:
            pass
    except BadRequest:
        pass
    answers = ResponseReader(HeadLimits())
    answers.expect(b"GET")
    answers.feed(b"HTTP/1.1 200 OK\r\n" + data)
    try:
        while answers.next_event() is not None:
            pass
    except BadResponse:
        pass


@settings(max_examples=200)
@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 40))
def test_what_the_writer_chunks_the_reader_gives_back(contents, size):
    """Chunks survive a round trip, however they are cut."""
    data = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(chunk(content) for content in contents) + last_chunk(EMPTY_SECTION)
    reader = RequestReader(HeadLimits())
    read = b""
    ended = False
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while (event := reader.next_event()) is not None:
            if isinstance(event, bytes):
                read += event
            ended = ended or isinstance(event, EndOfMessage)

    assert ended
    assert b"".join(contents) == read


@pytest.mark.parametrize("other", [llhttp, h11_reads])
def test_a_plain_request_is_read_by_all(other):
    """The comparison compares something."""
    data = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"

    assert [(b"POST", b"/p", b"abc")] == ours(data) == other(data)

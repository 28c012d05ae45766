"""Incremental readers of HTTP/1.1 messages: one for requests, one for responses."""

from __future__ import annotations

from ..errors import (
    BadRequest,
    BadResponse,
    HeadTooLarge,
    ProxykitError,
    TargetTooLong,
    VersionNotSupported,
)
from ..message.fields import EMPTY_SECTION, FieldSection
from ..message.framing import (
    NO_CONTENT,
    Chunked,
    Framing,
    Length,
    NoContent,
    request_framing,
    response_framing,
)
from ..message.request import Request, check_host
from ..message.response import Response
from .content import ChunkedReader, ContentReader, LengthReader, UntilCloseReader
from .grammar import OTHER_VERSION, REQUEST_LINE, STATUS_LINE
from .limits import HeadLimits
from .remembered import RememberedSections


class EndOfMessage:
    """The event behind a message's last byte of content.

    :ivar trailers: the trailer section (RFC 9110 section 6.5), mostly empty.
    """

    __slots__ = ("trailers",)

    def __init__(self, trailers: FieldSection) -> None:
        """Take the trailers."""
        self.trailers = trailers


_END = EndOfMessage(EMPTY_SECTION)

_REQUEST_SECTIONS = RememberedSections(BadRequest)
_RESPONSE_SECTIONS = RememberedSections(BadResponse)


def _content_reader(
    framing: Framing, error: type[BadRequest] | type[BadResponse]
) -> ContentReader | None:
    """Make the reader of a framing's content, ``None`` where there is none."""
    if type(framing) is NoContent:
        return None
    if type(framing) is Length:
        return LengthReader(framing.size)
    if type(framing) is Chunked:
        return ChunkedReader(error)
    return UntilCloseReader()


def _end(trailers: FieldSection) -> EndOfMessage:
    return _END if trailers is EMPTY_SECTION else EndOfMessage(trailers)


class _Reader:
    """What both readers share: a buffer, and content behind a head.

    :ivar buffered: what was fed and not yet given back as events.
    """

    __slots__ = ("_content", "_ended", "_limits", "buffered")

    def __init__(self, limits: HeadLimits) -> None:
        """Expect a head within limits."""
        self.buffered = b""
        self._content: ContentReader | None = None
        self._ended: EndOfMessage | None = None
        self._limits = limits

    def feed(self, data: bytes) -> None:
        """Take what arrived; then ask for events until there is ``None``."""
        self.buffered = self.buffered + data if self.buffered else data

    @property
    def in_content(self) -> bool:
        """Whether content of a message is still to come."""
        return self._content is not None or self._ended is not None

    def take_buffer(self) -> bytes:
        """Give what was fed behind the last event, when the connection becomes a tunnel."""
        data, self.buffered = self.buffered, b""
        return data

    def _next_content(self, content: ContentReader) -> bytes | EndOfMessage | None:
        ended = self._ended
        if ended is not None:
            self._ended = self._content = None
            return ended
        if not self.buffered:
            return None
        data, rest = content.feed(self.buffered)
        if rest is None:
            self.buffered = b""
            return data or None
        self.buffered = rest
        if data:
            self._ended = _end(content.trailers)
            return data
        self._content = None
        return _end(content.trailers)

    def _head_end(self, error: type[ProxykitError]) -> int:
        """Find where the head at the beginning of the buffer ends, -1 if it is not all here."""
        end = self.buffered.find(b"\r\n\r\n", 0, self._limits.head_size + 4)
        if end < 0 and len(self.buffered) > self._limits.head_size:
            raise error(f"the head is larger than {self._limits.head_size} bytes")
        return end


class RequestReader(_Reader):
    """Reads requests, one after the other.

    Ask for the next event with ``next_event`` only when the request before was answered, or
    pipelined requests will come out early.
    """

    __slots__ = ()

    def next_event(self) -> Request | bytes | EndOfMessage | None:
        """Give what comes next.

        :returns: a ``Request``; if that one's framing is not ``NoContent``, pieces of its content
            and an ``EndOfMessage`` follow. ``None`` when more has to be fed first.
        :raises BadRequest: (and its kin) when the client broke the grammar, a limit, or sent what
            is ambiguous. The reader must not be used any more.
        """
        content = self._content
        if content is not None:
            return self._next_content(content)
        buffer = self.buffered
        if not buffer:
            return None
        if buffer[0] == 0x0D:
            buffer = self._skip_empty_lines()
            if not buffer:
                return None
        end = self._head_end(HeadTooLarge)
        line = REQUEST_LINE.match(buffer)
        if line is None:
            self._incomplete_line(buffer)
            return None
        method, target, version_text = line.groups()
        if len(target) > self._limits.target_size:
            raise TargetTooLong(f"the target is longer than {self._limits.target_size} bytes")
        if end < 0:
            self._refuse_bare_line_feed(buffer)
            return None
        head_end = line.end()
        block = buffer[head_end : end + 2]  # empty when there are no fields at all
        section = _REQUEST_SECTIONS.parse(block, self._limits.fields)
        version = 1 if version_text == b"1" else 0
        if version and section.declared is not None and target[0] == 0x2F:
            parsed = None  # a request before this one had the same fields, and their Host was fine
        else:
            parsed = check_host(version, target, method, section)
        framing = request_framing(version, section)
        if method == b"CONNECT" and not isinstance(framing, NoContent):
            # RFC 9110 section 9.3.6: content of a CONNECT has no meaning, only two readings.
            raise BadRequest("a CONNECT has content")
        self.buffered = buffer[end + 4 :]
        self._content = _content_reader(framing, BadRequest)
        return Request(method, target, version, section, framing, parsed)

    def _skip_empty_lines(self) -> bytes:
        """Skip empty lines before a request (RFC 9112 section 2.2); give what is behind them."""
        buffer = self.buffered
        position = 0
        while buffer.startswith(b"\r\n", position):
            position += 2
        self.buffered = buffer = buffer[position:]
        return b"" if buffer == b"\r" else buffer

    def _incomplete_line(self, buffer: bytes) -> None:
        """Wait for the rest of a request line, if it can still become one."""
        line, line_feed, _ = buffer.partition(b"\n")
        if line_feed:
            if OTHER_VERSION.match(buffer):
                raise VersionNotSupported("only HTTP/1.0 and HTTP/1.1 are spoken here")
            raise BadRequest("the request line breaks the grammar")
        if len(line) > self._limits.target_size + 64:
            raise TargetTooLong(f"the target is longer than {self._limits.target_size} bytes")
        if not line.replace(b"\r", b"").isascii() or any(byte < 0x20 for byte in line[:-1]):
            raise BadRequest("the request line breaks the grammar")

    def _refuse_bare_line_feed(self, buffer: bytes) -> None:
        """Answer at once what can never become a head, instead of waiting for its end."""
        if buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise BadRequest("a line ends in a bare LF")


class ResponseReader(_Reader):
    """Reads responses to requests that are announced with ``expect``."""

    __slots__ = ("_method",)

    def __init__(self, limits: HeadLimits) -> None:
        """Expect nothing yet."""
        super().__init__(limits)
        self._method = b""

    def expect(self, method: bytes) -> None:
        """Expect the response to a request of this method next."""
        self._method = method

    def next_event(self) -> Response | bytes | EndOfMessage | None:
        """Give what comes next.

        :returns: a ``Response``, an interim one (1xx) included; if its framing is not
            ``NoContent``, content and an ``EndOfMessage`` follow. After a 101, and after a 2xx to
            a CONNECT, the rest of the connection is no HTTP: see ``take_buffer``.
        :raises BadResponse: when the server broke the grammar or a limit.
        """
        content = self._content
        if content is not None:
            return self._next_content(content)
        buffer = self.buffered
        if not buffer:
            return None
        end = self._head_end(BadResponse)
        if end < 0:
            if buffer.count(b"\n") != buffer.count(b"\r\n"):
                raise BadResponse("a line of the head ends in a bare LF")
            if not b"HTTP/1.".startswith(buffer[:7]):
                raise BadResponse("this is not HTTP/1")
            return None
        line = STATUS_LINE.match(buffer)
        if line is None:
            raise BadResponse("the status line breaks the grammar")
        version_text, status_text, reason = line.groups()
        section = _RESPONSE_SECTIONS.parse(buffer[line.end() : end + 2], self._limits.fields)
        version = 1 if version_text == b"1" else 0
        status = int(status_text)
        method = self._method
        if method == b"CONNECT" and 200 <= status < 300:
            # RFC 9110 section 9.3.6: length and coding are to be ignored; there is no content.
            framing: Framing = NO_CONTENT
        else:
            framing = response_framing(method, version, status, section)
        self.buffered = buffer[end + 4 :]
        self._content = _content_reader(framing, BadResponse)
        return Response.received(version, status, reason or b"", section, framing)

    def close(self) -> EndOfMessage | None:
        """Take the end of the connection.

        :returns: the end of the message when the end of the connection is that, else ``None``:
            what was read so far is incomplete, or nothing was being read.
        """
        content = self._content
        if content is None or not content.close():
            return None
        self._content = None
        return _end(content.trailers)

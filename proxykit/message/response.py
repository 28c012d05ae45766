"""A response as the road sees it: an origin's head, or an answer of the proxy's own."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from .fields import EMPTY_SECTION, Field, FieldSection, Headers
from .framing import CHUNKED, NO_CONTENT, Framing, Length
from .source import ContentSource

REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class Response:
    """A response's head, and its content when the proxy itself made it.

    :ivar status: the status code, 200 to 599; a server's may be one up to 999.
    :ivar reason: the reason phrase.
    :ivar body: the content of an answer made here; ``b""`` where content streams from upstream.
    :ivar source: where the content of an answer made here comes from, when it is not ``body``.
    :ivar section: the fields as they were read.
    :ivar framing: how the content is delimited where it comes from.
    :ivar version: HTTP/1's minor version of who sent it.
    """

    __slots__ = ("_headers", "body", "framing", "reason", "section", "source", "status", "version")

    def __init__(
        self,
        status: int,
        headers: Headers | Iterable[Field] = (),
        body: bytes = b"",
        reason: bytes | None = None,
        source: ContentSource | None = None,
    ) -> None:
        """Make an answer.

        :param headers: its fields; Content-Length and Date need not be among them.
        :param body: its whole content.
        :param source: gives its content, in the place of ``body``.
        :raises ValueError: when a field is not valid or the status is not one.
        """
        if not 200 <= status <= 599:
            raise ValueError(f"{status} is no final status code")
        self.status = status
        self.reason = REASONS.get(status, b"") if reason is None else reason
        self.body = body
        self.section = EMPTY_SECTION
        self.source = source
        size = len(body) if source is None else source.size
        self.framing: Framing = CHUNKED if size is None else Length(size) if size else NO_CONTENT
        self.version = 1
        self._headers: Headers | None = (
            headers if isinstance(headers, Headers) else Headers(headers)
        )

    @classmethod
    def received(
        cls, version: int, status: int, reason: bytes, section: FieldSection, framing: Framing
    ) -> Response:
        """Take what the reader read from an upstream connection."""
        response = cls.__new__(cls)
        response.version = version
        response.status = status
        response.reason = reason
        response.body = b""
        response.source = None
        response.section = section
        response.framing = framing
        response._headers = None
        return response

    @property
    def headers(self) -> Headers:
        """The header fields, which may be changed."""
        if self._headers is None:
            self._headers = Headers.of(self.section)
        return self._headers

    @property
    def changed_headers(self) -> Headers | None:
        """The header fields if anybody asked for them, which is when they may differ."""
        return self._headers

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

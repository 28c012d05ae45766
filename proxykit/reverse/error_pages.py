"""A route's own error pages, in the place of the proxy's and, if asked, of its servers'."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from zope.interface import implementer

from ..engine.exchange import Exchange
from ..errors import ConfigurationError
from ..interfaces import IResponseFilter
from ..message.response import Response

_LARGEST_PAGE = 1024 * 1024
# Fields that describe the content that a page takes the place of.
_DESCRIBES_CONTENT = frozenset(
    {
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-location",
        b"content-range",
        b"content-type",
        b"digest",
        b"etag",
        b"last-modified",
        b"trailer",
        b"transfer-encoding",
    }
)


@frozen(slots=True)
class Page:
    """One page.

    :ivar content: ``{status}`` and ``{id}`` in it stand for the status and the exchange's id.
    """

    content: bytes
    media_type: bytes

    @classmethod
    def read(cls, path: Path) -> Page:
        """Read a page from its file, once.

        :raises ConfigurationError: when that cannot be done.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_LARGEST_PAGE + 1)
        except OSError as error:
            raise ConfigurationError(f"an error page cannot be read: {error}") from error
        if len(content) > _LARGEST_PAGE:
            raise ConfigurationError(f"the error page {path} is larger than 1 MiB")
        media_type, _ = mimetypes.guess_type(path.name)
        charset = "; charset=utf-8" if (media_type or "").startswith("text/") else ""
        return cls(content, ((media_type or "application/octet-stream") + charset).encode("ascii"))


@implementer(IResponseFilter)
class ErrorPages:
    """A route's error pages; as a filter, in the place of its servers' own."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        """Take pages by status (``"404"``) or class of them (``"5xx"``)."""
        self._pages = dict(pages)

    def page(self, exchange: Exchange, response: Response) -> Response:
        """Give a response with our page as its content, or the same when there is none for it."""
        status = str(response.status)
        page = self._pages.get(status) or self._pages.get(f"{status[0]}xx")
        if page is None:
            return response
        # The fields that the server's Connection names go too: who reads them is this proxy.
        dropped = _DESCRIBES_CONTENT | response.section.options
        fields = [(name, value) for name, value in response.headers if name.lower() not in dropped]
        content = page.content.replace(b"{status}", status.encode("ascii"))
        content = content.replace(b"{id}", exchange.id.encode("ascii"))
        fields.append((b"Content-Type", page.media_type))
        return Response(response.status, fields, content)

    def response(self, exchange: Exchange, response: Response) -> Response | None:
        """See ``IResponseFilter``: for what a server answered; the engine asks ``page`` itself."""
        if response.status < 400 or exchange.error_type:
            return None
        replaced = self.page(exchange, response)
        return None if replaced is response else replaced

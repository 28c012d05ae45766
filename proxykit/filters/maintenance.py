"""The ``maintenance`` filter: answers 503 while the operator works on what is behind it."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from pydantic import Field
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ..engine.answers import refusal
from ..engine.exchange import Exchange
from ..errors import ConfigurationError, UnderMaintenance
from ..interfaces import IFilterFactory, IRequestFilter
from ..message.response import Response
from ..options import BuildContext, Duration, Network, OneOrMore, Options, contains

_log = Logger()

_SECONDS_BETWEEN_LOOKS = 1.0
_LARGEST_PAGE = 1024 * 1024


class MaintenanceOptions(Options):
    """When it is on, and what is answered then."""

    on: bool | None = Field(
        default=None, description="Whether it is on; true if no file is named, else false."
    )
    file: str | None = Field(default=None, description="It is on, too, while this file exists.")
    page: str | None = Field(
        default=None, description="A file with the page to send; else a small one is made."
    )
    retry_after: Duration = Field(
        default=300.0, description="When clients are told to come back.", validate_default=False
    )
    allow: OneOrMore[Network] = Field(
        default=[], description="Networks of clients that are served all the same."
    )


class _Page:
    """A file's content, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._modified: tuple[int, int] | None = None
        self.content: bytes | None = None
        media_type = mimetypes.guess_type(path.name)[0] or "text/html"
        charset = "; charset=utf-8" if media_type.startswith("text/") else ""
        self.content_type = (media_type + charset).encode("ascii")

    def look(self) -> None:
        """Read the file if it is another than before.

        :raises OSError: when it cannot be read.
        :raises ValueError: when it is too large to be a page.
        """
        status = self._path.stat()
        modified = (status.st_mtime_ns, status.st_size)
        if modified == self._modified:
            return
        if status.st_size > _LARGEST_PAGE:
            raise ValueError(f"{self._path} is larger than {_LARGEST_PAGE} bytes")
        self.content = self._path.read_bytes()
        self._modified = modified


@implementer(IRequestFilter)
class Maintenance:
    """Answers 503 while it is on, to all but a few."""

    def __init__(
        self,
        options: MaintenanceOptions,
        directory: Path,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Compile the options.

        :param directory: what the files' paths are relative to.
        :param clock: in seconds.
        :raises ConfigurationError: when there is no such page.
        """
        self._file = directory / options.file if options.file is not None else None
        self._always = self._file is None if options.on is None else options.on
        self._allowed = tuple(options.allow)
        self._retry_after = options.retry_after
        self._clock = clock
        self._next_look = float("-inf")
        self._on = self._always
        self._page: _Page | None = None
        if options.page is not None:
            self._page = _Page(directory / options.page)
            try:
                self._page.look()
            except (OSError, ValueError) as error:
                raise ConfigurationError(f"the maintenance page cannot be read: {error}") from error

    def request(self, exchange: Exchange) -> Response | None:
        """See ``IRequestFilter``."""
        if exchange.started >= self._next_look:
            self._look()
        if not self._on or contains(self._allowed, exchange.client_address):
            return None
        error = UnderMaintenance("this is out of service for a while, for maintenance")
        response = refusal(exchange, error, self._retry_after)
        page = self._page
        if page is not None and page.content is not None:
            response.body = page.content
            response.headers.set(b"Content-Type", page.content_type)
        return response

    def _look(self) -> None:
        """Look for the files, once a second at most: that is a system call or two."""
        self._next_look = self._clock() + _SECONDS_BETWEEN_LOOKS
        # Of a file in a folder that may not be looked into, nobody can say that it exists.
        self._on = self._always or (self._file is not None and os.path.exists(self._file))
        if self._on and self._page is not None:
            try:
                self._page.look()
            except (OSError, ValueError) as error:
                _log.warn("the maintenance page is not read again: {error}", error=str(error))


@implementer(IPlugin, IFilterFactory)
class MaintenanceFactory:
    """Makes ``maintenance`` filters."""

    name = "maintenance"
    description = "answers 503 with a page while it is switched on or a file exists"
    options = MaintenanceOptions

    def build(self, options: MaintenanceOptions, context: BuildContext) -> Maintenance:
        """See ``IFilterFactory``."""
        return Maintenance(options, context.directory)
